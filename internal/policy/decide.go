package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Layers that refuse; they stand in a refusal and in the audit log.
const (
	LayerEgress   = "egress"
	LayerGit      = "git"
	LayerProtocol = "protocol"
	LayerAddress  = "address"
	LayerLimit    = "limit"
)

// Request is what is asked about, canonical by construction.
type Request struct {
	host   string
	port   uint16
	method string
	target Target
	header func(name string) []string
}

// NewRequest brings a request to its canonical form, or says why it has none. header returns
// the values of a header by its name in any case; nil means there are none.
func NewRequest(method, host string, port uint16, target string, header func(name string) []string) (Request, error) {
	if !ValidFieldName(method) {
		return Request{}, fmt.Errorf("cannot use method %s: it is no token", strconv.QuoteToASCII(clip(method)))
	}
	canonical, err := CanonicalHost(host)
	if err != nil {
		return Request{}, err
	}
	t, err := CanonicalTarget(target)
	if err != nil {
		return Request{}, err
	}
	if header == nil {
		header = func(string) []string { return nil }
	}
	return Request{host: canonical, port: port, method: method, target: t, header: header}, nil
}

// Host is the canonical host.
func (r Request) Host() string { return r.host }

// Port is the port of the upstream.
func (r Request) Port() uint16 { return r.port }

// Method is the method, as written.
func (r Request) Method() string { return r.method }

// Target is what must be sent upstream in place of what the agent wrote.
func (r Request) Target() Target { return r.target }

// Decision is the verdict on one request or connection. The zero value denies.
type Decision struct {
	Allow bool
	// Route that allowed it, or the host's first route where only a detail was missing, or nil.
	Route *Route
	// Layer, Reason, RuleMissing, Guidance and NextSteps are set where Allow is false.
	Layer       string
	Reason      string
	RuleMissing string
	Guidance    string
	NextSteps   []string
	// Approvable is true only for a plain miss of the allowlist, which an operator may lift.
	Approvable bool
	// Would is the refusal that a bottle which only observes has passed over, or nil.
	Would *Decision
}

// Decide is the one verdict on a request, for every way in.
func (r *Rules) Decide(q Request) Decision {
	if r.set.Observe && gitService(q) == gitPush {
		return denyPush(r.NameRoute(q.host)) // also where no route names the host
	}
	return r.observed(r.judge(q))
}

// judge is the verdict by the routes alone.
func (r *Rules) judge(q Request) Decision {
	if q.method == "TRACE" || q.method == "TRACK" || q.method == "CONNECT" {
		return denyMethod(q.method)
	}
	found := r.lookup(q.host)
	if len(found) == 0 {
		return missingHost(q.host, q.port)
	}
	service := gitService(q)
	if service == gitPush {
		return denyPush(found[0].route)
	}
	var why string
	for _, candidate := range found {
		if !slices.Contains(candidate.ports, q.port) {
			continue
		}
		if candidate.route.Protocol == ProtocolTCP {
			return denyPlainTCP(candidate.route, q)
		}
		reason, ok := candidate.admits(q)
		if !ok {
			why = reason
			continue
		}
		if service == gitFetch && candidate.route.Git != GitFetch {
			return denyFetch(candidate.route)
		}
		return Decision{Allow: true, Route: candidate.route}
	}
	if why == "" {
		return missingPort(found[0].route, q.host, q.port)
	}
	return missingMatch(found[0].route, q, why)
}

// DecideHost is the verdict on a connection before any request is seen: whether some request to
// that host and port could be allowed. The host may be in any spelling.
func (r *Rules) DecideHost(host string, port uint16) Decision {
	canonical, err := CanonicalHost(host)
	if err != nil {
		return Malformed(err)
	}
	found := r.lookup(canonical)
	if len(found) == 0 {
		return r.observed(missingHost(canonical, port))
	}
	for _, candidate := range found {
		if slices.Contains(candidate.ports, port) {
			return Decision{Allow: true, Route: candidate.route}
		}
	}
	return r.observed(missingPort(found[0].route, canonical, port))
}

// NameRoute returns the first route of the most specific host that covers a canonical name, or nil.
func (r *Rules) NameRoute(name string) *Route {
	found := r.lookup(name)
	if len(found) == 0 {
		return nil
	}
	return found[0].route
}

// ResolvesName reports whether some route covers the name, so that the resolver may answer it.
// Addresses are not names.
func (r *Rules) ResolvesName(host string) bool {
	canonical, err := CanonicalHost(host)
	if err != nil || strings.Contains(canonical, ":") || numeric(canonical) {
		return false
	}
	return len(r.lookup(canonical)) > 0 || r.set.Observe && public(canonical)
}

// AsksForName reports whether a request to a name that no route covers would be held for the
// operator, so that the resolver may answer it. Names of one label and of the local domains are
// not asked about.
func (r *Rules) AsksForName(host string) bool {
	canonical, err := CanonicalHost(host)
	if err != nil || r.set.OnDeny != OnDenyAsk || strings.Contains(canonical, ":") || numeric(canonical) {
		return false
	}
	return public(canonical) && len(r.lookup(canonical)) == 0
}

// public reports whether a canonical name could be one of the public ones: it has several labels,
// and none of the local domains.
func public(canonical string) bool {
	dot := strings.LastIndexByte(canonical, '.')
	if dot < 0 {
		return false
	}
	switch canonical[dot+1:] {
	case "local", "internal", "localhost", "localdomain", "home", "lan", "invalid", "test", "onion", "arpa":
		return false
	}
	return true
}

// admits reports whether one of the matches holds, and if none does, what the last one lacked.
func (c *rule) admits(q Request) (string, bool) {
	if len(c.matches) == 0 {
		return "", true
	}
	var why string
	for i := range c.matches {
		reason := c.matches[i].lacks(q)
		if reason == "" {
			return "", true
		}
		why = reason
	}
	return why, false
}

// lacks says which field does not hold, or "".
func (m *match) lacks(q Request) string {
	if len(m.methods) > 0 && !slices.Contains(m.methods, q.method) {
		return "method"
	}
	if len(m.paths) > 0 && !slices.ContainsFunc(m.paths, func(p pathTest) bool { return p.holds(q.target) }) {
		if q.target.ambiguous != "" {
			return "path with " + q.target.ambiguous
		}
		return "path"
	}
	for _, h := range m.headers {
		values := q.header(h.Name)
		if len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { return v != h.Value }) {
			return "header " + strings.ToLower(h.Name)
		}
	}
	return ""
}

// holds compares a canonical path. An ambiguous one holds only where it is named exactly.
func (p *pathTest) holds(t Target) bool {
	if p.kind == "exact" {
		return t.Path == p.value
	}
	if t.ambiguous != "" {
		return false
	}
	if p.kind == "prefix" {
		return strings.HasPrefix(t.Path, p.value)
	}
	return p.regex != nil && p.regex.MatchString(t.Path)
}
