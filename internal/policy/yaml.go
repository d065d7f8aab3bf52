package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// YAML is the route as an entry of egress.routes in a bottle's file, without indentation; the
// certificates of UpstreamCA are not in it.
func (route *Route) YAML() string { return "- " + strings.Join(route.fields(), "\n  ") + "\n" }

// difference is YAML for a person to read, in which nothing that the route says is left out.
func (route *Route) difference() string {
	text := route.YAML()
	if route.UpstreamCA != "" {
		text += "  upstream_ca: (own CA)\n"
	}
	return text
}

// Flow is YAML on one line, without the dash.
func (route *Route) Flow() string { return "{" + strings.Join(route.fields(), ", ") + "}" }

func (route *Route) fields() []string {
	fields := []string{"host: " + scalar(route.Host)}
	add := func(key, value string) {
		if value != "" {
			fields = append(fields, key+": "+value)
		}
	}
	add("ports", flowList(route.Ports, func(p uint16) string { return strconv.Itoa(int(p)) }))
	if route.Protocol != ProtocolHTTP {
		add("protocol", string(route.Protocol))
	}
	add("matches", flowList(route.Matches, func(m Match) string { return m.Flow() }))
	add("auth", route.Auth.flow())
	if route.TLS != TLSIntercept {
		add("tls", string(route.TLS))
	}
	add("allow_private", flowList(route.AllowPrivate, func(p netip.Prefix) string { return scalar(p.String()) }))
	if route.Git != GitNone {
		add("git", string(route.Git))
	}
	if route.ConnectTo != "" {
		add("connect_to", scalar(route.ConnectTo))
	}
	add("dlp", route.DLP.flow())
	return fields
}

// flowList is "" for an empty list.
func flowList[T any](list []T, each func(T) string) string {
	if len(list) == 0 {
		return ""
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = each(v)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// Flow is the match as an entry of matches in a bottle's file, on one line.
func (m *Match) Flow() string {
	var fields []string
	for _, f := range []struct{ key, value string }{
		{"methods", flowList(m.Methods, scalar)},
		{"paths", flowList(m.Paths, func(p PathMatch) string { return fmt.Sprintf("{type: %s, value: %s}", p.Type, scalar(p.Value)) })},
		{"headers", flowList(m.Headers, func(h HeaderMatch) string {
			return fmt.Sprintf("{name: %s, value: %s}", scalar(h.Name), scalar(h.Value))
		})},
	} {
		if f.value != "" {
			fields = append(fields, f.key+": "+f.value)
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func (a *Auth) flow() string {
	if a == nil {
		return ""
	}
	text := fmt.Sprintf("{scheme: %s, token_ref: %s", a.Scheme, scalar(a.TokenRef))
	if a.Username != "" {
		text += ", username: " + scalar(a.Username)
	}
	if a.Name != "" {
		text += ", name: " + scalar(a.Name)
	}
	return text + "}"
}

func (d *DLP) flow() string {
	var fields []string
	detectors := func(name string, list []string, off bool) {
		switch {
		case off:
			fields = append(fields, name+": false")
		case len(list) > 0:
			fields = append(fields, name+": "+flowList(list, scalar))
		}
	}
	detectors("outbound_detectors", d.Outbound, d.OutboundOff)
	detectors("inbound_detectors", d.Inbound, d.InboundOff)
	if d.OnMatch != "" {
		fields = append(fields, "outbound_on_match: "+d.OnMatch)
	}
	if d.InboundOnMatch != "" {
		fields = append(fields, "inbound_on_match: "+d.InboundOnMatch)
	}
	if len(d.Allow) > 0 {
		fields = append(fields, "allow: "+flowList(d.Allow, Allowance.flow))
	}
	if len(fields) == 0 {
		return ""
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func (a Allowance) flow() string {
	var fields []string
	for _, f := range []struct{ key, value string }{{"rule", a.Rule}, {"fingerprint", a.Fingerprint}, {"path", a.Path}} {
		if f.value != "" {
			fields = append(fields, f.key+": "+scalar(f.value))
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// scalar is a string as YAML reads it back, also within flow style: plain where that is safe, else
// with double quotes and the escapes that YAML shares with Go.
func scalar(s string) string {
	plain := s != ""
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '/' || c == '_'
		later := c >= '0' && c <= '9' || c == '.' || c == '-'
		if !letter && (!later || i == 0) {
			plain = false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	return strconv.QuoteToASCII(s)
}
