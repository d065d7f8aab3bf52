package manifest

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func decodeEgress(r *report, l *layer, n *node) {
	if n == nil {
		return
	}
	l.egress = &Egress{}
	l.own("egress")
	if v, at := n.str("log"); at != nil {
		l.egress.Log = v
		l.own("egress.log")
	}
	if proxy := decodeProxy(r, n); proxy != "" {
		l.egress.UpstreamProxy = proxy
		l.own("egress.upstream_proxy")
	}
	decodeAsking(r, l, n)
	if limits := n.get("limits"); limits != nil {
		l.egress.Limits = decodeLimits(r, limits)
		l.own("egress.limits")
	}
	seen := map[string]*node{}
	besides := map[string]Route{}
	for _, item := range n.get("routes").list() {
		route := decodeRoute(r, item)
		if route.Host == "" {
			continue
		}
		at := item.get("host")
		if first := seen[route.Name()]; first != nil {
			r.fail(at, fmt.Sprintf("%s already has a route on line %d", route.Host, first.line), "join the two entries")
			continue
		}
		if other, ok := besides[route.Host]; ok {
			if err := policy.Beside(&route.Route, &other.Route); err != nil {
				r.fail(at, fmt.Sprintf("%s on line %d: %s", route.Host, seen[other.Name()].line, err), "give each of the two its own ports")
			}
		}
		seen[route.Name()], besides[route.Host] = at, route
		l.egress.Routes = append(l.egress.Routes, route)
		l.own("egress.routes." + route.Name())
	}
}

func decodeAsking(r *report, l *layer, n *node) {
	if v, at := n.str("on_deny"); at != nil {
		l.egress.OnDeny = policy.OnDeny(v)
		l.own("egress.on_deny")
	}
	at := n.get("ask_timeout")
	if at == nil || at.text == "" {
		return
	}
	text, minutes := strings.CutSuffix(at.text, "m")
	seconds, err := strconv.Atoi(strings.TrimSuffix(text, "s"))
	if err != nil {
		return // the shape has said so
	}
	if minutes {
		seconds *= 60
	}
	if seconds < 1 || seconds > 3600 {
		r.fail(at, "is longer than an hour", "such as 90s or 5m")
	}
	l.egress.AskTimeout = seconds
	l.own("egress.ask_timeout")
}

// decodeProxy returns the form of policy.Set.UpstreamProxy.
func decodeProxy(r *report, n *node) string {
	written, at := n.str("upstream_proxy")
	if at == nil {
		return ""
	}
	if name, found := strings.CutPrefix(written, "${"); found {
		return strings.TrimSuffix(name, "}")
	}
	if !strings.HasPrefix(written, "http://") && !strings.HasPrefix(written, "https://") {
		return written
	}
	u, err := url.Parse(written)
	switch {
	case err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		r.fail(at, "is not a proxy's URL", "such as http://proxy.example.org:3128")
	case u.User != nil:
		r.fail(at, "holds a user or a password", "put the URL into a variable of the host and write ${NAME}")
	}
	return "literal:" + written
}

func decodeRoute(r *report, n *node) Route {
	var route Route
	if v, at := n.str("host"); at != nil {
		host, wrong, hint := routeHost(v)
		if wrong != "" {
			r.fail(at, shown(v)+" "+wrong, hint)
		}
		route.Host = host
	}
	if v, at := n.str("tls"); at != nil {
		route.TLS = policy.TLSMode(v)
	}
	if v, at := n.str("protocol"); at != nil && v == string(policy.ProtocolTCP) {
		route.Protocol = policy.ProtocolTCP
	}
	if v, at := n.str("git"); at != nil {
		route.Git = policy.GitMode(v)
	}
	if v, at := n.str("connect_to"); at != nil {
		target, wrong, hint := dialTarget(v)
		if wrong != "" {
			r.fail(at, shown(v)+" "+wrong, hint)
		}
		route.ConnectTo = target
	}
	route.UpstreamCAFile, _ = n.str("upstream_ca")
	route.AllowPrivate = decodeRanges(r, n.get("allow_private"))
	route.Ports = decodePorts(r, n.get("ports"))
	route.Matches = decodeMatches(r, n.get("matches"))
	route.Auth = decodeAuth(r, n.get("auth"))
	route.DLP = decodeDLP(r, n.get("dlp"))
	decodeOlderRoute(r, n, &route)
	checkPassthrough(r, n, route)
	checkTCP(r, n, route)
	compile(r, n, route)
	return route
}

// compile makes sure that what loads can also be enforced.
func compile(r *report, n *node, route Route) {
	if r.failed(n) {
		return
	}
	if _, err := policy.Compile(policy.Set{Routes: []policy.Route{route.Route}}); err != nil {
		r.fail(n, printable(rootCause(err)), "")
	}
	addr, err := netip.ParseAddr(route.Host)
	if err != nil || route.ConnectTo != "" {
		return
	}
	if err := policy.AddressAllowed(addr, &route.Route, nil); err != nil {
		r.warn(n.get("host"), "is not a public address, so every request will be refused", "add allow_private: ["+route.Host+"]")
	}
}

func decodeOlderRoute(r *report, n *node, route *Route) {
	if older := n.get("path_allowlist"); older != nil {
		if n.get("matches") != nil {
			r.fail(older, "says again what matches says", "keep matches")
		}
		var m policy.Match
		for _, item := range older.list() {
			if item.kind == textNode && item.text != "" {
				m.Paths = append(m.Paths, decodePath(r, "prefix", item))
			}
		}
		route.Matches = []policy.Match{m}
	}
	older := n.get("pipelock")
	if v := older.get("tls_passthrough"); v != nil && v.truth {
		if n.get("tls") != nil {
			r.fail(v, "says again what tls says", "keep tls")
		}
		route.TLS = policy.TLSPassthrough
	}
	if v := older.get("ssrf_ip_allowlist"); v != nil {
		if n.get("allow_private") != nil {
			r.fail(v, "says again what allow_private says", "keep allow_private")
		}
		route.AllowPrivate = decodeRanges(r, v)
	}
}

// checkPassthrough refuses what needs TLS to be opened where it is not.
func checkPassthrough(r *report, n *node, route Route) {
	if route.TLS != policy.TLSPassthrough || route.Protocol == policy.ProtocolTCP {
		return
	}
	for _, name := range []string{"auth", "matches", "path_allowlist"} {
		if v := n.get(name); v != nil {
			r.fail(v, "cannot hold with tls: passthrough, which does not open the connection", "")
		}
	}
	if route.Git == policy.GitFetch {
		r.fail(n.get("git"), "cannot hold with tls: passthrough, where a fetch and a push look the same", "")
	}
	if v := n.get("dlp"); v != nil {
		r.warn(v, "has no effect with tls: passthrough: nothing is scanned", "")
	}
}

// checkTCP refuses what needs the bytes to be looked into where they are not, and a tcp route that
// is not of one host and its ports.
func checkTCP(r *report, n *node, route Route) {
	if route.Protocol != policy.ProtocolTCP {
		return
	}
	for _, name := range []string{"auth", "matches", "path_allowlist", "tls", "pipelock", "git", "upstream_ca", "dlp"} {
		if v := n.get(name); v != nil {
			r.fail(v, "cannot hold with protocol: tcp, whose bytes are not looked into", "")
		}
	}
	if strings.HasPrefix(route.Host, "*.") {
		r.fail(n.get("host"), "is a wildcard, and protocol: tcp wants one host", "name the host")
	}
	if len(route.Ports) == 0 {
		r.fail(n.get("protocol"), "needs the key \"ports\": a tcp route has no usual ones", "such as ports: [5432]")
	}
}

func decodeRanges(r *report, n *node) []netip.Prefix {
	var out []netip.Prefix
	for _, item := range n.list() {
		if item.kind != textNode || item.text == "" {
			continue
		}
		prefix, holds, wrong, hint := privateRange(item.text)
		if wrong != "" {
			r.fail(item, shown(item.text)+" "+wrong, hint)
			continue
		}
		if holds.IsValid() {
			r.warn(item, "covers the cloud metadata address "+holds.String()+", which stays refused", "")
		}
		out = append(out, prefix)
	}
	return out
}

func decodePorts(r *report, n *node) []uint16 {
	var out []uint16
	for _, item := range n.list() {
		if item.kind != integerNode || item.whole < 1 || item.whole > 65535 {
			continue
		}
		port := uint16(item.whole)
		if slices.Contains(out, port) {
			r.fail(item, fmt.Sprintf("%d is listed twice", port), "")
			continue
		}
		out = append(out, port)
	}
	return out
}

func decodeAuth(r *report, n *node) *policy.Auth {
	if n == nil || n.kind != mappingNode {
		return nil
	}
	auth := &policy.Auth{TokenRef: tokenRef(r, n, "token_ref")}
	auth.Scheme, _ = n.str("scheme")
	auth.Username, _ = n.str("username")
	auth.Name, _ = n.str("name")
	for _, extra := range []struct{ key, scheme string }{{"username", "basic"}, {"name", "header"}} {
		at := n.get(extra.key)
		switch {
		case auth.Scheme == extra.scheme && at == nil:
			r.fail(n, fmt.Sprintf("needs the key %q with scheme: %s", extra.key, extra.scheme), "")
		case auth.Scheme != "" && auth.Scheme != extra.scheme && at != nil:
			r.fail(at, "has no meaning with scheme: "+auth.Scheme, "it belongs to scheme: "+extra.scheme)
		}
	}
	return auth
}

// checkRule refuses a rule that does not exist: what it allows would never hold, and nobody would know.
func checkRule(r *report, at *node, rule string) {
	names := r.rules()
	if slices.Contains(names, rule) {
		return
	}
	hint := didYouMean(rule, names)
	if hint == "" {
		hint = "bot-bottle log names the rule of what was refused"
	}
	r.fail(at, "there is no rule "+shown(rule), hint)
}

func decodeDLP(r *report, n *node) policy.DLP {
	var d policy.DLP
	d.Outbound, d.OutboundOff = decodeDetectors(n.get("outbound_detectors"))
	d.Inbound, d.InboundOff = decodeDetectors(n.get("inbound_detectors"))
	d.OnMatch, _ = n.str("outbound_on_match")
	d.InboundOnMatch, _ = n.str("inbound_on_match")
	for _, item := range n.get("allow").list() {
		if item.kind != mappingNode {
			continue
		}
		var a policy.Allowance
		a.Rule, _ = item.str("rule")
		a.Fingerprint, _ = item.str("fingerprint")
		a.Path, _ = item.str("path")
		if item.get("rule") == nil && item.get("fingerprint") == nil {
			r.fail(item, "names neither a rule nor a fingerprint", "bot-bottle log shows both for what was refused")
		}
		switch family, _, _ := strings.Cut(a.Rule, "-"); {
		case a.Rule == "canary", a.Rule == "crlf-injection", family == "limit":
			r.fail(item.get("rule"), shown(a.Rule)+" cannot be allowed", "what it finds is never an ordinary value")
		case a.Rule != "" && r.rules != nil && !strings.HasPrefix(a.Rule, "known-secret:"):
			checkRule(r, item.get("rule"), a.Rule)
		}
		d.Allow = append(d.Allow, a)
	}
	if d.OutboundOff && len(d.Allow) > 0 {
		r.fail(n.get("allow"), "has no meaning with outbound_detectors: false", "leave one of the two out")
	}
	return d
}

func decodeDetectors(n *node) (names []string, off bool) {
	if n == nil {
		return nil, false
	}
	for _, item := range n.items {
		if item.kind == textNode && item.text != "" {
			names = append(names, item.text)
		}
	}
	return names, n.kind == boolNode && !n.truth
}
