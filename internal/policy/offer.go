package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Offered is what adding a route to the rules would do.
type Offered struct {
	// Added is the route as the bottle's file would have it.
	Added string
	// Opens says in words what could be reached then, and Now why it cannot be.
	Opens, Now string
	// Warnings are what a person should know before saying yes.
	Warnings []string
}

// Offer checks whether a route may be added while the bottle runs, and says what that would do.
// Never offered are: addresses that are not public, ranges of such, a credential that the host does
// not have already, a host that belongs to a provider, what is carried without being looked at (TLS that
// is passed through, raw TCP), and another place or trust for a host than it has.
func (r *Rules) Offer(route Route) (Offered, error) {
	if err := r.offerable(&route); err != nil {
		return Offered{}, err
	}
	if _, err := r.With(route); err != nil {
		return Offered{}, err
	}
	o := Offered{Added: route.difference(), Opens: route.opens()}
	name := strings.TrimPrefix(route.Host, "*.")
	found := r.lookup(name)
	switch {
	case len(found) == 0:
		o.Now = "no route names this host"
	case found[0].route.Host == route.Host:
		o.Now = fmt.Sprintf("%d other %s of this host in force; this one is added", len(found), plural(len(found), "route", "routes"))
	default:
		o.Now = "the host is covered by the route of " + found[0].route.Host
		o.Warnings = append(o.Warnings, "from then on only this route counts for "+route.Host+", and no longer that of "+found[0].route.Host)
	}
	o.Warnings = append(o.Warnings, r.suspicions(route)...)
	return o, nil
}

// With is the set that the rules come from and one more route. A route that is in there already
// changes nothing.
func (r *Rules) With(route Route) (Set, error) {
	set := r.set
	if r.Has(route) {
		return set, nil
	}
	set.Routes = append(slices.Clone(set.Routes), route)
	_, err := Compile(set)
	return set, err
}

// Has reports whether a route is among those in force as it is, so that With changes nothing.
func (r *Rules) Has(route Route) bool {
	return slices.ContainsFunc(r.set.Routes, func(have Route) bool { return Same(have, route) })
}

func (r *Rules) offerable(route *Route) error {
	if err := offerableHost(route); err != nil {
		return err
	}
	same := Route{}
	for i := range r.set.Routes {
		have := &r.set.Routes[i]
		if !overlap(have.Host, route.Host) {
			continue
		}
		if have.Owner != "" {
			return fmt.Errorf("cannot change %s: it belongs to the provider %s", have.Host, have.Owner)
		}
		if have.Host == route.Host {
			same = *have
		}
	}
	if route.Auth != nil && (same.Auth == nil || *route.Auth != *same.Auth) {
		return fmt.Errorf("cannot give %s a credential in a bottle that runs: edit its file", route.Host)
	}
	if route.ConnectTo != "" && route.ConnectTo != same.ConnectTo || route.UpstreamCA != "" && route.UpstreamCA != same.UpstreamCA {
		return fmt.Errorf("cannot lead %s elsewhere or trust another authority for it in a bottle that runs: edit its file", route.Host)
	}
	return nil
}

// offerableHost checks what can be said of a route without looking at the others.
func offerableHost(route *Route) error {
	if err := checkRouteHost(route.Host); err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(route.Host); err == nil {
		if err := AddressAllowed(addr, nil, nil); err != nil {
			return err
		}
	}
	if name, ok := strings.CutPrefix(route.Host, "*."); ok && !strings.Contains(name, ".") {
		return fmt.Errorf("cannot open every name below %q", name)
	}
	if route.TLS != "" && route.TLS != TLSIntercept || route.Protocol != "" && route.Protocol != ProtocolHTTP {
		return fmt.Errorf("cannot open %s for what is not looked at, in a bottle that runs: edit its file", route.Host)
	}
	if len(route.AllowPrivate) > 0 || route.Owner != "" {
		return errors.New("cannot open addresses that are not public, or a provider's route, in a bottle that runs: edit its file")
	}
	return nil
}

// overlap reports whether some name is covered by both hosts.
func overlap(a, b string) bool {
	below := func(wild, other string) bool {
		suffix, ok := strings.CutPrefix(wild, "*")
		return ok && strings.HasSuffix(strings.TrimPrefix(other, "*"), suffix)
	}
	return a == b || below(a, b) || below(b, a)
}

// Reads reports whether a method is one of those that are offered together.
func Reads(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// Missing is a route that would allow a request which is refused only because no route does; ok is
// false where that must not be offered. On a host without a route, reading methods come together,
// on every path, so that one question is enough for a tool's work; on a host whose routes limit
// requests it is this method and this path.
func (r *Rules) Missing(q Request) (route Route, ok bool) {
	route = Route{Host: q.host, Ports: []uint16{q.port}}
	if Reads(q.method) {
		route.Matches = []Match{{Methods: []string{"GET", "HEAD", "OPTIONS"}}}
	}
	if found := r.lookup(q.host); len(found) > 0 {
		if slices.Contains(found[0].ports, q.port) {
			route.Ports = found[0].route.Ports
		}
		if route.Matches = nil; len(found[0].matches) > 0 {
			route.Matches = []Match{{Methods: []string{q.method}, Paths: []PathMatch{{Type: "exact", Value: q.target.Path}}}}
		}
	}
	route, err := r.Completed(route)
	if err == nil {
		_, err = r.Offer(route)
	}
	return route, err == nil
}

// Completed gives a route that says host, ports and matches what the host's routes have besides: how
// it is reached, scanned and credentialed.
func (r *Rules) Completed(route Route) (Route, error) {
	found := r.lookup(strings.TrimPrefix(route.Host, "*."))
	if len(found) == 0 || strings.HasPrefix(route.Host, "*.") && found[0].route.Host != route.Host {
		return route, nil
	}
	return extended(found, route)
}

// extended is a route like the ones a host has, with other ports and matches.
func extended(found []*rule, want Route) (Route, error) {
	have := found[0].route
	route := *have
	route.Host, route.Ports, route.Matches = want.Host, want.Ports, want.Matches
	if have.Host == want.Host {
		return route, nil
	}
	// A route for one host takes over from a wildcard, so it must allow what that allows.
	if len(found) > 1 || have.Auth != nil {
		return Route{}, fmt.Errorf("cannot add to the routes of %s: edit the bottle's file", have.Host)
	}
	route.Ports = append(slices.Clone(found[0].ports), portsOf(&want)...)
	slices.Sort(route.Ports)
	route.Ports = slices.Compact(route.Ports)
	if len(have.Matches) > 0 && len(want.Matches) > 0 {
		route.Matches = append(slices.Clone(have.Matches), want.Matches...)
	} else {
		route.Matches = nil
	}
	return route, nil
}

func (route *Route) opens() string {
	where := route.Host
	if name, ok := strings.CutPrefix(where, "*."); ok {
		where = "every name below " + name
	}
	ports := make([]string, 0, 2)
	for _, p := range portsOf(route) {
		ports = append(ports, strconv.Itoa(int(p)))
	}
	what := "every method and path"
	if len(route.Matches) > 0 {
		alternatives := make([]string, 0, len(route.Matches))
		for _, m := range route.Matches {
			alternatives = append(alternatives, m.words())
		}
		what = strings.Join(alternatives, "; or ")
	}
	if route.Auth != nil {
		what += ", with the credential " + route.Auth.TokenRef
	}
	if route.Git == GitFetch {
		what += ", git clone and fetch too"
	}
	return fmt.Sprintf("%s, port %s: %s", where, strings.Join(ports, ", "), what)
}

func (m *Match) words() string {
	methods, paths := "every method", "every path"
	if len(m.Methods) > 0 {
		methods = strings.Join(m.Methods, ", ")
	}
	if len(m.Paths) > 0 {
		each := make([]string, 0, len(m.Paths))
		for _, p := range m.Paths {
			each = append(each, p.Type+" "+strconv.QuoteToASCII(p.Value))
		}
		paths = strings.Join(each, " or ")
	}
	words := methods + " of " + paths
	for _, h := range m.Headers {
		words += fmt.Sprintf(" with %s: %s", h.Name, strconv.QuoteToASCII(h.Value))
	}
	return words
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
