package sidecar

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// Tokens holds the values that came with the configuration, by reference. Which references there
// are does not change; a value may be replaced. It is safe for concurrent use.
type Tokens struct {
	values atomic.Pointer[map[string]secret.String] // the map does not change

	renewing sync.Mutex // one replacement at a time

	mu  sync.Mutex
	old []secret.String // what was replaced, and what is about to be used
}

// maxOld is how many replaced values are remembered: an issuer may honour one until it expires.
const maxOld = 16

// NewTokens takes exactly the named values, none of them empty.
func NewTokens(names []string, values map[string]string) (*Tokens, error) {
	held := make(map[string]secret.String, len(values))
	for _, name := range names {
		value, ok := values[name]
		if !ok || value == "" {
			return nil, fault.New(fault.Invalid, "cannot configure the sidecar: the value of %q is missing", name)
		}
		held[name] = secret.New(value)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, ok := held[name]; !ok {
			return nil, fault.New(fault.Invalid, "cannot configure the sidecar: there is a value for %q, which is not named", name)
		}
	}
	t := &Tokens{}
	t.values.Store(&held)
	return t, nil
}

// Token returns the value of a reference. There is no other source: an unknown one is an error.
func (t *Tokens) Token(ref string) (secret.String, error) {
	value, ok := (*t.values.Load())[ref]
	if !ok {
		return secret.String{}, fmt.Errorf("cannot find the value of %q: it did not come with the configuration", ref)
	}
	return value, nil
}

// covers checks that every credential which a policy names is there.
func (t *Tokens) covers(set policy.Set) error {
	refs := map[string]string{}
	for _, route := range set.Routes {
		if route.Auth != nil {
			refs[route.Auth.TokenRef] = "the route " + route.Host
		}
	}
	if set.UpstreamProxy != "" && !isLiteral(set.UpstreamProxy) {
		refs[set.UpstreamProxy] = "upstream_proxy"
	}
	values := *t.values.Load()
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		if _, ok := values[ref]; !ok {
			return fault.New(fault.Invalid, "cannot use %s: the value of %q did not come with the configuration", refs[ref], ref)
		}
	}
	return nil
}

func isLiteral(ref string) bool { return len(ref) > 8 && ref[:8] == "literal:" }

// all returns the values, also the replaced ones, for what must recognise them.
func (t *Tokens) all() []secret.String {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(slices.Collect(maps.Values(*t.values.Load())), t.old...)
}

// known are the values as the engine looks for them.
func (t *Tokens) known() []dlp.Known {
	t.mu.Lock()
	defer t.mu.Unlock()
	var known []dlp.Known
	for ref, value := range *t.values.Load() {
		known = append(known, dlp.Known{Name: ref, Value: telling(value)})
	}
	for _, value := range t.old {
		known = append(known, dlp.Known{Name: "a replaced value", Value: telling(value)})
	}
	return known
}

// telling is the part of a value by which it is recognised. The head and the claims of a JSON web
// token are those of many tokens, and mean nothing without the signature.
func telling(value secret.String) secret.String {
	v := value.Reveal()
	if strings.HasPrefix(v, "eyJ") && strings.Count(v, ".") == 2 {
		if signature := v[strings.LastIndexByte(v, '.')+1:]; len(signature) >= 32 {
			return secret.New(signature)
		}
	}
	return value
}

// replace puts a new value in the place of a reference's. Recognise is called before the value can
// be used, with it among those that all and known return.
func (t *Tokens) replace(ref, value string, recognise func()) error {
	t.renewing.Lock()
	defer t.renewing.Unlock()
	next := maps.Clone(*t.values.Load())
	was, ok := next[ref]
	if !ok || value == "" {
		return fault.New(fault.Invalid, "cannot renew %q: it has no value here, or is to have none", ref)
	}
	renewed := secret.New(value)
	next[ref] = renewed
	t.remember(renewed)
	recognise()
	t.values.Store(&next)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.old[len(t.old)-1] = was
	return nil
}

func (t *Tokens) remember(value secret.String) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.old = append(t.old, value)
	t.old = t.old[max(0, len(t.old)-maxOld):]
}
