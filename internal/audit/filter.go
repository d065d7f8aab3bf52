package audit

import (
	"slices"
	"strings"
	"time"
)

// Filter chooses events. An empty field chooses all.
type Filter struct {
	Kinds   []string
	Verdict string
	// Host chooses a host and, written "*.example.org", every name below it.
	Host  string
	Since time.Time
	Until time.Time // exclusive
}

// Match reports whether the filter chooses e.
func (f Filter) Match(e Event) bool {
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(f.Verdict == "" || f.Verdict == e.Verdict) &&
		(f.Host == "" || matchHost(f.Host, e.Host)) &&
		(f.Since.IsZero() || !e.Time.Before(f.Since)) &&
		(f.Until.IsZero() || e.Time.Before(f.Until))
}

func matchHost(pattern, host string) bool {
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasPrefix(suffix, ".") {
		return len(host) > len(suffix) && strings.EqualFold(host[len(host)-len(suffix):], suffix)
	}
	return strings.EqualFold(pattern, host)
}
