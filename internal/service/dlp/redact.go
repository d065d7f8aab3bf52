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
				redact(text, int(lo), int(lo)+f.Span, f.Steps)
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

// redact overwrites text[lo:hi] and keeps its form: quotes, escapes, separators, names of fields and
// length stay, so that JSON, a form, a list of numbers or base64 still parse.
func redact(text []byte, lo, hi int, steps []string) {
	mark := byte('1')
	if len(steps) == 0 && !digitsOnly(text[lo:hi]) {
		mark = 'X'
	}
	keep := names(text, lo, hi, steps)
	for i := lo; i < hi; i++ {
		b := text[i]
		if i > 0 && text[i-1] == '\\' && (b < '0' || b > '9') && !escaped(text, i-1) {
			continue
		}
		if keep[i-lo] || !wordByte(b) && b < 0x80 {
			continue
		}
		text[i] = mark
		if unicodeDigit(text, i) {
			text[i] = '1'
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

// names marks what of text[lo:hi] are names of fields.
func names(text []byte, lo, hi int, steps []string) []bool {
	keep := make([]bool, hi-lo)
	mark := func(from, to int) {
		for i := max(from, lo); i < min(to, hi); i++ {
			keep[i-lo] = true
		}
	}
	for name, end := member(text, max(0, lo-maxPiece)); end >= 0 && name < hi; name, end = member(text, end+1) {
		mark(name, end)
	}
	if !slices.Contains(steps, stepJoined) {
		return keep
	}
	for i := lo; i < hi; i++ {
		if i > 0 && text[i-1] != '&' && text[i-1] != '\n' && text[i-1] != ';' && text[i-1] != ',' {
			continue
		}
		end := i
		for end < hi && (wordByte(text[end]) || text[end] == '-' || text[end] == '.' || text[end] == ' ') {
			end++
		}
		if end < hi && (text[end] == '=' || text[end] == ':') {
			mark(i, end)
		}
	}
	return keep
}

// member is where the next name of a JSON object's member begins and ends behind from, with its
// quotes; end is negative when there is none.
func member(text []byte, from int) (name, end int) {
	for i := from; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		k := i + 1
		for k < len(text) && (text[k] == ' ' || text[k] == '\n' || text[k] == '\t' || text[k] == '\r') {
			k++
		}
		if k == len(text) || text[k] != ':' {
			continue
		}
		if name = bytes.LastIndexByte(text[max(0, i-maxPiece):i], '"'); name >= 0 {
			return name + max(0, i-maxPiece), i
		}
	}
	return 0, -1
}
