package sidecar

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// Tokens holds the values that came with the configuration, by reference. It does not change.
type Tokens struct{ values map[string]secret.String }

// NewTokens takes exactly the named values, none of them empty.
func NewTokens(names []string, values map[string]string) (*Tokens, error) {
	t := &Tokens{values: make(map[string]secret.String, len(values))}
	for _, name := range names {
		value, ok := values[name]
		if !ok || value == "" {
			return nil, fault.New(fault.Invalid, "cannot configure the sidecar: the value of %q is missing", name)
		}
		t.values[name] = secret.New(value)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, ok := t.values[name]; !ok {
			return nil, fault.New(fault.Invalid, "cannot configure the sidecar: there is a value for %q, which is not named", name)
		}
	}
	return t, nil
}

// Token returns the value of a reference. There is no other source: an unknown one is an error.
func (t *Tokens) Token(ref string) (secret.String, error) {
	value, ok := t.values[ref]
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
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		if _, ok := t.values[ref]; !ok {
			return fault.New(fault.Invalid, "cannot use %s: the value of %q did not come with the configuration", refs[ref], ref)
		}
	}
	return nil
}

func isLiteral(ref string) bool { return len(ref) > 8 && ref[:8] == "literal:" }

// all returns the values, for what must recognise them.
func (t *Tokens) all() []secret.String { return slices.Collect(maps.Values(t.values)) }
