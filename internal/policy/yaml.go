package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// YAML is the route as an entry of egress.routes in a bottle's file, without indentation; the
// certificates of UpstreamCA are not in it.
func (route *Route) YAML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "- host: %s\n", scalar(route.Host))
	if len(route.Ports) > 0 {
		ports := make([]string, len(route.Ports))
		for i, p := range route.Ports {
			ports[i] = strconv.Itoa(int(p))
		}
		fmt.Fprintf(&b, "  ports: [%s]\n", strings.Join(ports, ", "))
	}
	if len(route.Matches) > 0 {
		b.WriteString("  matches:\n")
		for _, m := range route.Matches {
			b.WriteString(m.yaml())
		}
	}
	if a := route.Auth; a != nil {
		fmt.Fprintf(&b, "  auth: {scheme: %s, token_ref: %s", a.Scheme, scalar(a.TokenRef))
		if a.Username != "" {
			fmt.Fprintf(&b, ", username: %s", scalar(a.Username))
		}
		if a.Name != "" {
			fmt.Fprintf(&b, ", name: %s", scalar(a.Name))
		}
		b.WriteString("}\n")
	}
	if route.TLS != "" && route.TLS != TLSIntercept {
		fmt.Fprintf(&b, "  tls: %s\n", route.TLS)
	}
	if len(route.AllowPrivate) > 0 {
		ranges := make([]string, len(route.AllowPrivate))
		for i, p := range route.AllowPrivate {
			ranges[i] = scalar(p.String())
		}
		fmt.Fprintf(&b, "  allow_private: [%s]\n", strings.Join(ranges, ", "))
	}
	if route.Git != "" && route.Git != GitNone {
		fmt.Fprintf(&b, "  git: %s\n", route.Git)
	}
	if route.ConnectTo != "" {
		fmt.Fprintf(&b, "  connect_to: %s\n", scalar(route.ConnectTo))
	}
	b.WriteString(route.DLP.yaml())
	return b.String()
}

func (m *Match) yaml() string {
	var lines []string
	if len(m.Methods) > 0 {
		lines = append(lines, "methods: ["+strings.Join(m.Methods, ", ")+"]")
	}
	if len(m.Paths) > 0 {
		each := make([]string, len(m.Paths))
		for i, p := range m.Paths {
			each[i] = fmt.Sprintf("{type: %s, value: %s}", p.Type, scalar(p.Value))
		}
		lines = append(lines, "paths: ["+strings.Join(each, ", ")+"]")
	}
	if len(m.Headers) > 0 {
		each := make([]string, len(m.Headers))
		for i, h := range m.Headers {
			each[i] = fmt.Sprintf("{name: %s, value: %s}", scalar(h.Name), scalar(h.Value))
		}
		lines = append(lines, "headers: ["+strings.Join(each, ", ")+"]")
	}
	return "    - " + strings.Join(lines, "\n      ") + "\n"
}

func (d *DLP) yaml() string {
	var fields []string
	detectors := func(name string, list []string, off bool) {
		switch {
		case off:
			fields = append(fields, name+": false")
		case len(list) > 0:
			fields = append(fields, name+": ["+strings.Join(list, ", ")+"]")
		}
	}
	detectors("outbound_detectors", d.Outbound, d.OutboundOff)
	detectors("inbound_detectors", d.Inbound, d.InboundOff)
	if d.OnMatch != "" {
		fields = append(fields, "outbound_on_match: "+d.OnMatch)
	}
	if len(fields) == 0 {
		return ""
	}
	return "  dlp: {" + strings.Join(fields, ", ") + "}\n"
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
