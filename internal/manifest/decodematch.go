package manifest

import (
	"regexp"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func decodeMatches(r *report, n *node) []policy.Match {
	var out []policy.Match
	for _, item := range n.list() {
		if item.kind != mappingNode {
			continue
		}
		if len(item.entries) == 0 {
			r.fail(item, "limits nothing", "leave matches out to allow everything")
		}
		var m policy.Match
		for _, p := range item.get("paths").list() {
			kind, _ := p.str("type")
			if _, at := p.str("value"); at != nil {
				m.Paths = append(m.Paths, decodePath(r, kind, at))
			}
		}
		for _, v := range item.get("methods").list() {
			if v.kind == textNode {
				m.Methods = append(m.Methods, decodeMethod(r, v))
			}
		}
		for _, h := range item.get("headers").list() {
			name, _ := h.str("name")
			value, _ := h.str("value")
			m.Headers = append(m.Headers, policy.HeaderMatch{Name: name, Value: value})
		}
		out = append(out, m)
	}
	return out
}

// decodePath refuses values that no canonical path can equal: a rule that never holds is a slip.
func decodePath(r *report, kind string, at *node) policy.PathMatch {
	m := policy.PathMatch{Type: kind, Value: at.text}
	if kind == "regex" {
		if _, err := regexp.Compile(at.text); err != nil {
			r.fail(at, shown(at.text)+" is not a regular expression (RE2): "+printable(regexpCause(err)), "")
		}
		return m
	}
	target, err := policy.CanonicalTarget(at.text)
	switch {
	case err != nil:
		r.fail(at, shown(at.text)+" is not a path: "+rootCause(err), "")
	case target.HasQuery:
		r.fail(at, shown(at.text)+" is more than a path", "queries are not matched")
	case target.Ambiguous() != "":
		r.fail(at, shown(at.text)+" is a path that is always refused: "+target.Ambiguous(), "")
	}
	return m
}

func regexpCause(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

// methods are those of RFC 9110 section 9, RFC 5789, the WebDAV family and its relatives. CONNECT
// and TRACE are missing: they are never forwarded.
func methods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PURGE",
		"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "LINK", "UNLINK"}
}

func decodeMethod(r *report, at *node) string {
	method := strings.ToUpper(at.text)
	switch {
	case method == "":
	case method == "CONNECT" || method == "TRACE":
		r.fail(at, method+" is never forwarded", "")
	case !slices.Contains(methods(), method):
		r.fail(at, shown(at.text)+" is not a method", nearOrListed(method, "methods", methods()))
	}
	return method
}
