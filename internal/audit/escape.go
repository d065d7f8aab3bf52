package audit

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape makes s safe to show on a terminal and cuts it to limit bytes: control bytes, terminal
// escapes, bidirectional and invisible runes and broken UTF-8 become \x1b, \u202e or \U000e0041.
// A cut says how many bytes are missing. Escaping twice changes nothing more.
func Escape(s string, limit int) string {
	cut := 0
	if len(s) > limit {
		end := limit
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		cut = len(s) - end
		s = s[:end]
	}
	clean := strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s)
	if clean && cut == 0 {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, hidden(r) && r < utf8.RuneSelf:
			fmt.Fprintf(&out, `\x%02x`, s[i])
		case hidden(r) && r > 0xffff:
			fmt.Fprintf(&out, `\U%08x`, r)
		case hidden(r):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteString(s[i : i+n])
		}
		i += n
	}
	if cut > 0 {
		fmt.Fprintf(&out, "…(%d bytes more)", cut)
	}
	return out.String()
}

// hidden reports whether a reader would not see r as itself: everything that does not print,
// and what prints as nothing (variation selectors, fillers).
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return !unicode.IsPrint(r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
