package view

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bot-bottle/bot-bottle/internal/audit"
)

// Safe makes a text of a bottle fit to be read on a terminal: one line, cut to limit bytes, with
// nothing hidden or acting in it, and with what looks like a host name in punycode, so that no
// letter passes for another.
func Safe(text string, limit int) string {
	text = audit.Escape(text, limit)
	if isASCII(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		end := strings.IndexFunc(text, func(r rune) bool { return !hostRune(r) })
		if end < 0 {
			end = len(text)
		}
		if end > 0 {
			b.WriteString(asHost(text[:end]))
			text = text[end:]
			continue
		}
		_, n := utf8.DecodeRuneInString(text)
		b.WriteString(text[:n])
		text = text[n:]
	}
	return b.String()
}

// Spelled is Safe for a text that is about how a name looks: every letter outside ASCII is shown by
// its number.
func Spelled(text string, limit int) string {
	var b strings.Builder
	for _, r := range audit.Escape(text, limit) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// asHost is a word in punycode, where it has the form of a host name and letters outside ASCII.
func asHost(word string) string {
	if isASCII(word) || !strings.Contains(strings.Trim(word, "."), ".") {
		return word
	}
	return audit.Punycode(word)
}

// hostRune reports whether r may be in a host name; every letter outside ASCII may.
func hostRune(r rune) bool {
	switch {
	case r >= utf8.RuneSelf, r == '.', r == '-', r == '_':
		return true
	}
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Lines is Safe for a text of many lines: at most most of them, and limit bytes in all. What is
// left out is said in the last one.
func Lines(text string, most, limit int) []string {
	var out []string
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range all {
		if i == most || limit <= 0 {
			return append(out, "…")
		}
		out = append(out, Safe(strings.TrimRight(line, "\r"), limit))
		limit -= len(line)
	}
	return out
}
