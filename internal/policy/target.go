package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Target is the canonical path and query of a request, as decided on and as sent.
type Target struct {
	Path     string // begins with "/"; escapes in upper case, unreserved characters unescaped
	Query    string // without "?"
	HasQuery bool
	// ambiguous says why servers disagree on what Path means, or is "".
	ambiguous string
}

// String is the request-target in origin form (RFC 9112 §3.2.1).
func (t Target) String() string {
	if t.HasQuery {
		return t.Path + "?" + t.Query
	}
	return t.Path
}

// Ambiguous says why two servers may read the path differently ("%2F", "//", ";" …), or "".
// Such a path is refused wherever the verdict depends on the path.
func (t Target) Ambiguous() string { return t.ambiguous }

// CanonicalTarget checks an origin-form target and brings it to its one spelling
// (RFC 3986 §6.2.2). It refuses what could be read as another path: dot segments in any
// disguise, backslashes, control bytes plain or escaped, bad escapes, fragments.
func CanonicalTarget(raw string) (Target, error) {
	t, err := canonicalTarget(raw)
	if err != nil {
		return Target{}, fmt.Errorf("cannot use request target %s: %w", strconv.QuoteToASCII(clip(raw)), err)
	}
	return t, nil
}

func canonicalTarget(raw string) (Target, error) {
	if raw == "" || raw[0] != '/' {
		return Target{}, errors.New("it does not begin with /")
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c <= ' ' || c == 0x7f:
			return Target{}, errors.New("it has a control byte or a space")
		case c == '#':
			return Target{}, errors.New("it has a fragment")
		}
	}
	path, query, has := strings.Cut(raw, "?")
	if strings.Contains(path, `\`) {
		return Target{}, errors.New("its path has a backslash")
	}
	t := Target{HasQuery: has}
	var err error
	if t.Path, err = canonicalEscapes(path, true); err != nil {
		return Target{}, err
	}
	if t.Query, err = canonicalEscapes(query, false); err != nil {
		return Target{}, err
	}
	decoded := unescape(t.Path)
	if dotSegments(decoded) {
		return Target{}, errors.New("its path has dot segments")
	}
	t.ambiguous = ambiguity(t.Path, decoded)
	return t, nil
}

// canonicalEscapes unescapes unreserved characters, upper-cases the other escapes and escapes
// bytes that are not ASCII. Escaped control bytes are refused in a path.
func canonicalEscapes(s string, path bool) (string, error) {
	if plain(s) {
		return s, nil
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '%' {
			if c >= 0x80 || strings.IndexByte("\"<>^`{|}", c) >= 0 {
				b.Write([]byte{'%', hex[c>>4], hex[c&15]})
				continue
			}
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", errors.New("it has a bad escape")
		}
		c = unhex(s[i+1])<<4 | unhex(s[i+2])
		i += 2
		switch {
		case path && (c < ' ' || c == 0x7f):
			return "", errors.New("its path has an escaped control byte")
		case c == 0:
			return "", errors.New("it has an escaped NUL")
		case path && unreserved(c):
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String(), nil
}

// plain reports whether canonicalEscapes would leave s as it is; most targets are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] == '%' || s[i] >= 0x80 || strings.IndexByte("\"<>^`{|}", s[i]) >= 0 {
			return false
		}
	}
	return true
}

// unescape decodes the escapes of a canonical string once.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

// fullyUnescaped decodes until nothing changes, so that doubly escaped names are recognised.
func fullyUnescaped(s string) string {
	for range 8 {
		next := unescape(s)
		if next == s {
			break
		}
		s = next
	}
	return s
}

// dotSegments looks for "." and ".." between any of the separators that servers know, and
// also where path parameters follow them ("..;x").
func dotSegments(decoded string) bool {
	if !strings.Contains(decoded, ".") && !strings.Contains(decoded, "%") {
		return false
	}
	for _, form := range [2]string{decoded, fullyUnescaped(decoded)} {
		for segment := range strings.FieldsFuncSeq(form, func(r rune) bool { return r == '/' || r == '\\' }) {
			name, _, _ := strings.Cut(segment, ";")
			if name == "." || name == ".." {
				return true
			}
		}
	}
	return false
}

func ambiguity(path, decoded string) string {
	switch {
	case strings.Contains(path, "//"):
		return "an empty segment (//)"
	case strings.Contains(path, ";"), strings.Contains(path, "%3B"):
		return "a path parameter (;)"
	}
	if decoded == path {
		return ""
	}
	switch {
	case strings.Contains(path, "%2F"):
		return "an escaped slash (%2F)"
	case strings.Contains(path, "%5C"):
		return "an escaped backslash (%5C)"
	case strings.Contains(decoded, "%"):
		return "an escaped percent sign (%25)"
	case strings.ContainsAny(decoded, "?#"):
		return "an escaped ? or #"
	case !utf8.ValidString(decoded):
		return "bytes that are not UTF-8"
	}
	return ""
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	default:
		return c - 'A' + 10
	}
}
