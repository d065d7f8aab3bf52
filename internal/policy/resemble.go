package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// suspicions are what a person might miss when reading a host: that it is not written in the
// letters it shows, that it looks like one that is allowed, that it covers many.
func (r *Rules) suspicions(route Route) []string {
	var all []string
	name, wild := strings.CutPrefix(route.Host, "*.")
	if wild {
		all = append(all, "it covers every name below "+name+": a name is enough to carry data out")
	}
	if strings.Contains(name, "xn--") {
		shown, err := idna.ToUnicode(name)
		if err != nil {
			shown = name
		}
		all = append(all, "the name is not ASCII; a browser may show it as "+strconv.QuoteToGraphic(shown))
	}
	if strings.Count(name, ".") > 3 || len(name) > 60 {
		all = append(all, "the name is long: only its end says whose it is")
	}
	for i := range r.set.Routes {
		have := strings.TrimPrefix(r.set.Routes[i].Host, "*.")
		switch {
		case have == name || strings.HasSuffix(name, "."+have) || strings.HasSuffix(have, "."+name):
		case skeleton(have) == skeleton(name), near(have, name):
			all = append(all, fmt.Sprintf("it looks like %s, which is allowed, and is another host", have))
		case strings.HasPrefix(name, have+".") || strings.Contains(name, "."+have+".") || strings.HasPrefix(name, have+"-"):
			all = append(all, fmt.Sprintf("it contains %s, which is allowed, and does not belong to it", have))
		}
	}
	return distinct(all) // several routes may name one host
}

// distinct keeps the first of what is said more than once.
func distinct(all []string) []string {
	var out []string
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// skeleton writes names that are easily taken for one another the same way.
func skeleton(name string) string {
	if shown, err := idna.ToUnicode(name); err == nil {
		name = shown
	}
	return strings.NewReplacer(
		"rn", "m", "vv", "w", "cl", "d", "0", "o", "1", "l", "i", "l", "5", "s", "-", "",
		"\u0430", "a", "\u0435", "e", "\u043e", "o", "\u0440", "p", "\u0441", "c", "\u0445", "x", "\u0443", "y", "\u0456", "l", "\u0455", "s", // Cyrillic
		"\u03bf", "o", "\u03b1", "a", "\u03c1", "p", "\u03bd", "v", "\u0131", "l", // Greek, dotless i
	).Replace(name)
}

// near reports whether two names of some length differ in one letter: another one, one more, one
// less, or two that changed places.
func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 6 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	return i < len(a) && (a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:])
}
