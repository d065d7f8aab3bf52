package dlp

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// rounds bound how often a text is changed and looked at again.
const rounds = 8

// Replace takes findings out of text in place and keeps its length and form. The plainest go first:
// most of what decodings found is gone with them. May says of a finding whether it may be replaced
// where it stands; again looks at the changed text. What could not be taken out is in rest, and
// then text is not to be sent.
func Replace(text []byte, base int64, found []Finding, may func(Finding) bool, again func() []Finding) (done, rest []Finding) {
	wasJSON, wasText := json.Valid(text), utf8.Valid(text)
	for range rounds {
		plainest := 1 << 10
		for _, f := range found {
			if f.Span == 0 { // unpacked from somewhere: it cannot be looked at again
				return nil, found
			}
			plainest = min(plainest, len(f.Steps))
		}
		before := len(done)
		for _, f := range found {
			lo := f.Offset - base
			if len(f.Steps) == plainest && lo >= 0 && lo+int64(f.Span) <= int64(len(text)) && may(f) {
				Redact(text[lo:lo+int64(f.Span)], f.Steps)
				done = append(done, f)
			}
		}
		if len(done) == before {
			return nil, found
		}
		if found = again(); len(found) > 0 {
			continue
		}
		if wasJSON && !json.Valid(text) || wasText && !utf8.Valid(text) {
			return nil, done
		}
		return done, nil
	}
	return nil, found
}

// Redact overwrites a span in place and keeps its form: quotes, escapes, separators, names of
// fields and length stay, so that JSON, a form, a list of numbers or base64 still parse.
func Redact(p []byte, steps []string) {
	mark := byte('1')
	if len(steps) == 0 && !digitsOnly(p) {
		mark = 'X'
	}
	keep := names(p, steps)
	for i, b := range p {
		if i > 0 && p[i-1] == '\\' && !(b >= '0' && b <= '9') && !escaped(p, i-1) {
			continue
		}
		if keep != nil && keep[i] || !wordByte(b) && b < 0x80 {
			continue
		}
		p[i] = mark
		if unicodeDigit(p, i) {
			p[i] = '1'
		}
	}
}

// digitsOnly reports whether the letters of a span are digits only.
func digitsOnly(p []byte) bool {
	return !slices.ContainsFunc(p, func(b byte) bool { return wordByte(b) && (b < '0' || b > '9') })
}

// escaped reports whether the backslash at i is itself escaped.
func escaped(p []byte, i int) bool {
	n := 0
	for i--; i >= 0 && p[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// unicodeDigit reports whether p[i] is one of the four digits of a \u escape.
func unicodeDigit(p []byte, i int) bool {
	for back := 2; back <= 5; back++ {
		if at := i - back; at >= 0 && p[at] == '\\' && p[at+1] == 'u' && !escaped(p, at) {
			return true
		}
	}
	return false
}

// names marks the names of fields in a span that was decoded, which may hold several values; nil
// where it is one value as it stands.
func names(p []byte, steps []string) []bool {
	if len(steps) == 0 {
		return nil
	}
	keep := make([]bool, len(p))
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == '"':
			end := bytes.IndexByte(p[i+1:], '"')
			if end < 0 {
				return keep
			}
			end += i + 1
			after := bytes.TrimLeft(p[end+1:], " \t\r\n")
			if len(after) > 0 && after[0] == ':' {
				for k := i; k < end; k++ {
					keep[k] = true
				}
			}
			i = end
		case i == 0 || p[i-1] == '&' || p[i-1] == '\n' || p[i-1] == ';' || p[i-1] == ',':
			end := i
			for end < len(p) && (wordByte(p[end]) || p[end] == '-' || p[end] == '.' || p[end] == ' ') {
				end++
			}
			if end < len(p) && (p[end] == '=' || p[end] == ':') {
				for k := i; k < end; k++ {
					keep[k] = true
				}
			}
		}
	}
	return keep
}
