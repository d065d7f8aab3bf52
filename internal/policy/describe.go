package policy

import (
	"strconv"
	"strings"
)

// Describe is a route as a person reads it, on one line and without a value. It is escaped by
// whoever shows it.
func Describe(r Route) string {
	var b strings.Builder
	b.WriteString(r.Host)
	for i, port := range r.Ports {
		b.WriteString(map[bool]string{true: ":", false: ","}[i == 0] + strconv.Itoa(int(port)))
	}
	for i, m := range r.Matches {
		if i > 0 {
			b.WriteString(" or")
		}
		b.WriteString(" " + DescribeMatch(m))
	}
	for _, trait := range Traits(r) {
		b.WriteString(", " + trait)
	}
	for _, a := range r.DLP.Allow {
		b.WriteString(", lets pass " + a.String())
	}
	return b.String()
}

// Traits are what a route is besides its host, ports and matches, in words.
func Traits(r Route) []string {
	var out []string
	if r.Owner != "" {
		out = append(out, "("+r.Owner+")")
	}
	if r.Auth != nil {
		out = append(out, "credential "+RefName(r.Auth.TokenRef)+" injected")
	}
	if r.TLS == TLSPassthrough {
		out = append(out, "not inspected (passthrough)")
	}
	if r.Protocol == ProtocolTCP {
		out = append(out, "not inspected (tcp)")
	}
	if r.Git == GitFetch {
		out = append(out, "git fetch")
	}
	if r.ConnectTo != "" {
		out = append(out, "dialled at "+r.ConnectTo)
	}
	if r.UpstreamCA != "" {
		out = append(out, "own CA")
	}
	for _, p := range r.AllowPrivate {
		out = append(out, "may be in "+p.String())
	}
	return append(out, scanning(r)...)
}

// DescribeMatch is what one match allows, in words.
func DescribeMatch(m Match) string {
	methods := "any method"
	if len(m.Methods) > 0 {
		methods = strings.Join(m.Methods, ",")
	}
	var paths []string
	for _, p := range m.Paths {
		switch p.Type {
		case "exact":
			paths = append(paths, p.Value)
		case "regex":
			paths = append(paths, "~"+p.Value)
		default:
			paths = append(paths, p.Value+"*")
		}
	}
	if len(paths) == 0 {
		paths = []string{"any path"}
	}
	line := methods + " " + strings.Join(paths, " ")
	for _, h := range m.Headers {
		line += " with " + h.Name
	}
	return line
}

// RefName names where a value comes from without showing a URL or a command that may hold it.
func RefName(ref string) string {
	scheme, rest, ok := strings.Cut(ref, ":")
	switch {
	case !ok:
		return ref
	case scheme == "literal":
		return "the manifest"
	case scheme == "cmd":
		return "a command"
	}
	return scheme + " " + rest
}
