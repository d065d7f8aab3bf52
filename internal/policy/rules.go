package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Rules is a compiled Set. It does not change and is safe for concurrent use.
type Rules struct {
	set      Set
	observer Route // of what is let through without a route
	exact    map[string][]*rule
	wildcard map[string][]*rule // by the suffix after "*."
}

// rule is one route, ready to be asked.
type rule struct {
	route   *Route
	ports   []uint16
	matches []match
}

type match struct {
	paths   []pathTest
	methods []string
	headers []HeaderMatch
}

type pathTest struct {
	kind  string
	value string
	regex *regexp.Regexp
}

// Compile checks a whole set and makes it ready to decide. All problems are reported, joined;
// a set with a problem yields no Rules. Several routes may name one host: any of them may allow
// a request, the first that does is the one that counts.
func Compile(set Set) (*Rules, error) {
	rules := &Rules{exact: map[string][]*rule{}, wildcard: map[string][]*rule{}}
	if err := errors.Join(set.Limits.check(), checkObserve(set)); err != nil {
		return nil, err
	}
	rules.set, rules.observer = set, Route{Host: Observed}
	rules.set.Routes = slices.Clone(set.Routes)
	var problems []error
	for i := range rules.set.Routes {
		route := &rules.set.Routes[i]
		r, err := compileRoute(route)
		if err != nil {
			problems = append(problems, fmt.Errorf("cannot compile route %d (%s): %w", i+1, strconv.QuoteToASCII(clip(route.Host)), err))
			continue
		}
		index, key := rules.exact, route.Host
		if suffix, ok := strings.CutPrefix(route.Host, "*."); ok {
			index, key = rules.wildcard, suffix
		}
		if err := conflict(route, index[key]); err != nil {
			problems = append(problems, fmt.Errorf("cannot compile route %d (%s): %w", i+1, route.Host, err))
			continue
		}
		index[key] = append(index[key], r)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return rules, nil
}

// Routes returns the routes in their order. The caller must not change them.
func (r *Rules) Routes() []Route { return r.set.Routes }

// Set returns the set that was compiled. The caller must not change it.
func (r *Rules) Set() Set { return r.set }

// Ports returns every port that some route names, sorted.
func (r *Rules) Ports() []uint16 {
	var ports []uint16
	for i := range r.set.Routes {
		ports = append(ports, portsOf(&r.set.Routes[i])...)
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// lookup returns the rules of the most specific host that covers name: the exact one, else the
// longest wildcard. Less specific ones are not consulted.
func (r *Rules) lookup(host string) []*rule {
	if found := r.exact[host]; found != nil {
		return found
	}
	if len(r.wildcard) == 0 {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	for rest := host; ; {
		_, after, ok := strings.Cut(rest, ".")
		if !ok {
			return nil
		}
		if found := r.wildcard[after]; found != nil {
			return found
		}
		rest = after
	}
}

func portsOf(route *Route) []uint16 {
	if len(route.Ports) == 0 {
		return []uint16{80, 443}
	}
	return route.Ports
}

func compileRoute(route *Route) (*rule, error) {
	if err := checkRouteHost(route.Host); err != nil {
		return nil, err
	}
	if err := checkModes(route); err != nil {
		return nil, err
	}
	if err := checkAuth(route.Auth); err != nil {
		return nil, err
	}
	if err := checkDLP(route.DLP); err != nil {
		return nil, err
	}
	if slices.Contains(route.Ports, 0) {
		return nil, errors.New("port 0 is no port")
	}
	if err := checkProtocol(route); err != nil {
		return nil, err
	}
	compiled := &rule{route: route, ports: portsOf(route)}
	for i, m := range route.Matches {
		c, err := compileMatch(m)
		if err != nil {
			return nil, fmt.Errorf("matches[%d]: %w", i, err)
		}
		compiled.matches = append(compiled.matches, c)
	}
	return compiled, nil
}

func checkRouteHost(host string) error {
	name := strings.TrimPrefix(host, "*.")
	canonical, err := CanonicalHost(name)
	if err != nil {
		return err
	}
	if canonical != name {
		return fmt.Errorf("the host is not canonical, write %q", strings.TrimSuffix(host, name)+canonical)
	}
	if _, err := netip.ParseAddr(name); err == nil && name != host {
		return errors.New("an address cannot have a wildcard")
	}
	return nil
}

func checkModes(route *Route) error {
	switch route.Git {
	case "", GitNone, GitFetch:
	default:
		return fmt.Errorf("git is %q, want none or fetch", route.Git)
	}
	switch route.TLS {
	case "", TLSIntercept:
		return nil
	case TLSPassthrough:
		if route.Auth != nil {
			return errors.New("a credential cannot be put into TLS that is passed through")
		}
		if len(route.Matches) > 0 {
			return errors.New("matches cannot be checked in TLS that is passed through")
		}
		return nil
	default:
		return fmt.Errorf("tls is %q, want intercept or passthrough", route.TLS)
	}
}

// checkProtocol refuses on a tcp route what needs the bytes to be looked into, and what would
// make it wider than one host and the ports it names.
func checkProtocol(route *Route) error {
	switch route.Protocol {
	case "", ProtocolHTTP:
		return nil
	case ProtocolTCP:
	default:
		return fmt.Errorf("protocol is %q, want http or tcp", route.Protocol)
	}
	switch {
	case strings.HasPrefix(route.Host, "*."):
		return errors.New("protocol tcp wants one host, not a wildcard")
	case len(route.Ports) == 0:
		return errors.New("protocol tcp wants its ports named")
	case slices.Contains(route.Ports, dnsPort):
		return errors.New("protocol tcp cannot have port 53: it leads to the bottle's resolver")
	}
	for _, without := range []struct {
		what string
		set  bool
	}{
		{"a credential", route.Auth != nil}, {"matches", len(route.Matches) > 0}, {"tls", route.TLS != ""},
		{"git", route.Git != "" && route.Git != GitNone}, {"upstream_ca", route.UpstreamCA != ""}, {"dlp", !route.DLP.zero()},
	} {
		if without.set {
			return fmt.Errorf("protocol tcp cannot have %s: its bytes are not looked into", without.what)
		}
	}
	return nil
}

// dnsPort of every address is the resolver's, inside a bottle.
const dnsPort = 53

func (d DLP) zero() bool {
	return len(d.Outbound)+len(d.Inbound) == 0 && d.OnMatch == "" && !d.OutboundOff && !d.InboundOff
}

// conflict says why a route cannot stand beside others of its host.
func conflict(route *Route, others []*rule) error {
	for _, other := range others {
		if err := Beside(route, other.route); err != nil {
			return err
		}
	}
	return nil
}

// Beside says why two routes of one host cannot stand beside each other, or nil.
func Beside(a, b *Route) error {
	if (a.Protocol == ProtocolTCP) != (b.Protocol == ProtocolTCP) {
		for _, port := range portsOf(a) {
			if slices.Contains(portsOf(b), port) {
				return fmt.Errorf("port %d is of a tcp route and of another", port)
			}
		}
		return nil
	}
	if (a.TLS == TLSPassthrough) != (b.TLS == TLSPassthrough) {
		return errors.New("the host is both intercepted and passed through")
	}
	return nil
}

func checkAuth(auth *Auth) error {
	if auth == nil {
		return nil
	}
	if auth.TokenRef == "" {
		return errors.New("auth has no token_ref")
	}
	switch auth.Scheme {
	case "Bearer", "token":
	case "basic":
		if auth.Username == "" || strings.ContainsAny(auth.Username, ":\r\n\x00") {
			return errors.New("auth basic wants a username without a colon")
		}
	case "header":
		if !ValidFieldName(auth.Name) {
			return errors.New("auth header wants the name of a header")
		}
		switch strings.ToLower(auth.Name) {
		case "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer":
			return fmt.Errorf("auth header cannot be %s", auth.Name)
		}
	default:
		return fmt.Errorf("auth scheme is %q, want Bearer, token, basic or header", auth.Scheme)
	}
	return nil
}

func compileMatch(m Match) (match, error) {
	compiled := match{methods: m.Methods, headers: m.Headers}
	for _, method := range m.Methods {
		if !ValidFieldName(method) || strings.ToUpper(method) != method {
			return match{}, fmt.Errorf("%q is no method in upper case", method)
		}
	}
	for _, h := range m.Headers {
		if !ValidFieldName(h.Name) {
			return match{}, fmt.Errorf("%q is no header name", h.Name)
		}
	}
	for _, p := range m.Paths {
		test, err := compilePath(p)
		if err != nil {
			return match{}, err
		}
		compiled.paths = append(compiled.paths, test)
	}
	return compiled, nil
}

func compilePath(p PathMatch) (pathTest, error) {
	switch p.Type {
	case "prefix", "exact":
		target, err := CanonicalTarget(p.Value)
		if err != nil {
			return pathTest{}, err
		}
		if target.HasQuery {
			return pathTest{}, fmt.Errorf("path %q has a query", p.Value)
		}
		return pathTest{kind: p.Type, value: target.Path}, nil
	case "regex":
		re, err := regexp.Compile(`\A(?:` + p.Value + `)\z`)
		if err != nil {
			return pathTest{}, fmt.Errorf("cannot compile path %q: %w", p.Value, err)
		}
		return pathTest{kind: p.Type, regex: re}, nil
	default:
		return pathTest{}, fmt.Errorf("path type is %q, want prefix, exact or regex", p.Type)
	}
}

// ValidFieldName reports whether s is a token of RFC 9110 §5.6.2: the form of header names and
// methods.
func ValidFieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		if strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
