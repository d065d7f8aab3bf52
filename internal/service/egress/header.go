package egress

import "strings"

// Field is one header line; Name keeps the case in which it came.
type Field struct{ Name, Value string }

// Header is a header section in its order.
type Header []Field

// Values returns the values of a field by its name in any case.
func (h Header) Values(name string) []string {
	var values []string
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			values = append(values, h[i].Value)
		}
	}
	return values
}

// Get returns the first value of a field, or "".
func (h Header) Get(name string) string {
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Count returns how often a field stands.
func (h Header) Count(name string) int {
	n := 0
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			n++
		}
	}
	return n
}

// token reports whether a comma-separated field has the token.
func (h Header) token(name, token string) bool {
	for i := range h {
		if !strings.EqualFold(h[i].Name, name) {
			continue
		}
		for part := range strings.SplitSeq(h[i].Value, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}

func (h Header) names() []string {
	names := make([]string, len(h))
	for i := range h {
		names[i] = strings.ToLower(h[i].Name)
	}
	return names
}
