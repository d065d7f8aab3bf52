package dlp

import (
	"bytes"
	"slices"
)

// rounds bound how often a text is changed and looked at again.
const rounds = 8

// Redaction is how findings are taken out of a text.
type Redaction struct {
	Form  Form
	Query [2]int // where fields of a form stand within the text, if any do
	// Whole is set where the text is all there is; else what stands before and behind is not known.
	Whole bool
	// Conversation is set for one with a model, whose objects nobody sums but the model itself.
	Conversation bool
	// May says of a finding whether it may be replaced where it stands.
	May func(Finding) bool
	// Again looks at the changed text, Alone at a value of it by itself.
	Again func() []Finding
	Alone func([]byte) []Finding

	walked, looked int // bytes that were walked for values, and looked at by themselves
}

// Replace takes findings out of text in place and keeps its length and form. The plainest go first:
// most of what decodings found is gone with them. What could not be taken out is in rest, and then
// text is not to be sent.
func (r *Redaction) Replace(text []byte, base int64, found []Finding) (done, rest []Finding) {
	was := r.holds(text)
	if !r.told(was) {
		return nil, found
	}
	for range rounds {
		plainest := 1 << 10
		for _, f := range found {
			if f.Span == 0 { // unpacked from somewhere: it cannot be looked at again
				return nil, found
			}
			plainest = min(plainest, len(f.Steps))
		}
		now := slices.DeleteFunc(slices.Clone(found), func(f Finding) bool {
			lo := f.Offset - base
			return len(f.Steps) > plainest || lo < 0 || lo+int64(f.Span) > int64(len(text)) || !r.May(f)
		})
		if r.summed(text, base, now) {
			return nil, found
		}
		before := len(done)
		for _, f := range now {
			if r.overwrite(text, int(f.Offset-base), f) {
				done = append(done, f)
			}
		}
		if len(done) == before {
			return nil, found
		}
		if found = r.Again(); len(found) > 0 {
			continue
		}
		if was.lost(r.holds(text)) {
			return nil, done
		}
		return done, nil
	}
	return nil, found
}

// overwrite takes one finding out of the values that hold it, and of no others.
func (r *Redaction) overwrite(text []byte, lo int, f Finding) bool {
	hi := lo + f.Span
	if r.walked > maxWalked {
		return false
	}
	values, apart := r.stretches(text, lo, hi)
	switch {
	case !apart:
		redact(text, lo, hi, f.Steps)
		return true
	case len(values) == 1:
		redact(text, values[0][0], values[0][1], f.Steps)
		return true
	case len(values) > maxStretches:
		return false
	}
	some := false
	for _, v := range values {
		if r.looked += v[1] - v[0]; r.looked > 8*len(text) {
			return false
		}
		for _, g := range r.Alone(text[v[0]:v[1]]) {
			if g.Fingerprint == f.Fingerprint && g.Span > 0 && g.Offset+int64(g.Span) <= int64(v[1]-v[0]) {
				redact(text, v[0]+int(g.Offset), v[0]+int(g.Offset)+g.Span, g.Steps)
				some = true
			}
		}
	}
	return some
}

// redact overwrites text[lo:hi] and keeps its form: quotes, escapes, separators, names of fields and
// length stay, so that JSON, a form, a list of numbers or base64 still parse.
func redact(text []byte, lo, hi int, steps []string) {
	mark := byte('1')
	if len(steps) == 0 && !digitsOnly(text[lo:hi]) {
		mark = 'X'
	}
	if low, ok := wideText(text); ok {
		redactWide(text, max(lo, 2), hi, low, mark)
		return
	}
	lo = reference(text, lo)
	keep := names(text, lo, hi, steps)
	for i := lo; i < hi; i++ {
		b := text[i]
		if keep[i-lo] {
			continue
		}
		if n := redactReference(text[i:]); n > 0 {
			i += n - 1
			continue
		}
		if i > 0 && text[i-1] == '\\' && (b < '0' || b > '9') && !escaped(text, i-1) {
			continue
		}
		if !wordByte(b) && b < 0x80 {
			continue
		}
		text[i] = mark
		if unicodeDigit(text, i) {
			text[i] = '1'
		}
	}
}

// redactWide overwrites UTF-16 by letters of UTF-16.
func redactWide(text []byte, lo, hi, low int, mark byte) {
	for i := lo &^ 1; i+1 < len(text) && i < hi; i += 2 {
		if u := text[i : i+2]; u[1-low] != 0 || u[low] >= 0x80 || wordByte(u[low]) {
			u[low], u[1-low] = mark, 0
		}
	}
}

// reference is where a percent-encoded byte or a character reference begins in which at stands, or
// at.
func reference(text []byte, at int) int {
	for i := at - 1; i >= max(0, at-maxReference); i-- {
		switch b := text[i]; {
		case b == '%' && at-i < 3 || b == '&' && at > i+1 && text[i+1] == '#':
			return i
		case b != '#' && !wordByte(b):
			return at
		}
	}
	return at
}

// maxReference is how long a character reference may be.
const maxReference = 12

// redactReference overwrites a percent-encoded byte or a numeric character reference by one that
// is as long, and returns its length; a named one stays. It returns 0 where none begins.
func redactReference(p []byte) int {
	if len(p) > 2 && p[0] == '%' && isHex(p[1]) && isHex(p[2]) {
		p[1], p[2] = '3', '1'
		return 3
	}
	if len(p) < 4 || p[0] != '&' {
		return 0
	}
	if p[1] != '#' {
		for i := 1; i < min(len(p), maxReference) && (p[i]|0x20 >= 'a' && p[i]|0x20 <= 'z' || p[i] == ';'); i++ {
			if p[i] == ';' {
				return i + 1
			}
		}
		return 0
	}
	at, one := 2, "49"
	if p[2]|0x20 == 'x' {
		at, one = 3, "31"
	}
	end := at
	for end < len(p) && isHex(p[end]) {
		end++
	}
	if end == len(p) || p[end] != ';' || end-at < 2 {
		return 0
	}
	for i := at; i < end; i++ {
		p[i] = '0'
	}
	copy(p[end-2:], one)
	return end + 1
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
