package dlp

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
)

const (
	minRun        = 16 // bytes of an encoded run that are looked at
	stepJoined    = "joined"
	stepBackwards = "joined backwards"
	stepEvery     = "every " // so many bytes
	stepQuoted    = "quoted-printable"
)

// The alphabets, as bits of a byte's class.
const (
	in64 = 1 << iota
	in32
	inHex
	in58
	inUpper
	inLower
	inSep
)

var class = func() (t [256]uint8) {
	for b := range 256 {
		c := byte(b)
		lower, upper, digit := c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9'
		if lower || upper || digit || c == '+' || c == '/' || c == '-' || c == '_' {
			t[b] |= in64
		}
		if lower || upper || c >= '2' && c <= '7' {
			t[b] |= in32
		}
		if digit || c|0x20 >= 'a' && c|0x20 <= 'f' {
			t[b] |= inHex
		}
		if (lower || upper || digit) && c != '0' && c != 'O' && c != 'I' && c != 'l' {
			t[b] |= in58
		}
		if upper {
			t[b] |= inUpper
		}
		if lower {
			t[b] |= inLower
		}
		if c > ' ' && c <= '~' && !wordByte(c) || c == ' ' || c == '\n' || c == '\t' {
			t[b] |= inSep
		}
	}
	return t
}()

// decode gives every reading of v's text to child.
func (s *scan) decode(v view, marks []mark, packs []int) {
	zones(marks, markOdd, 2, len(v.text), func(z zone) {
		if len(v.steps) == 0 {
			s.spare = guessBase + guessRatio*(z.hi-z.lo)
		}
		s.zone(v.part(z))
	})
	zones(marks, markRunes, 4, len(v.text), func(z zone) {
		s.unicode(v.part(z))
		s.pages(v.part(z))
	})
	s.packed(v, packs)
	s.endsPacked(v)
}

// part is v's text within a zone.
func (v view) part(z zone) view {
	v.ends = v.ends && z.hi == len(v.text)
	v.text, v.at = v.text[z.lo:z.hi:z.hi], v.at+z.lo
	return v
}

func (s *scan) zone(v view) {
	p := v.text
	s.runs(v)
	if bytes.IndexByte(p, '%') >= 0 {
		s.clusters(v, '%', percent, "url")
	}
	long := []zone(nil)
	if bytes.IndexByte(p, '\\') >= 0 {
		s.clusters(v, '\\', backslash, "escapes")
		if v.guess == 0 {
			s.clusters(v, '\\', cssEscape, "escapes")
		}
		long = s.strings(v)
	}
	if bytes.IndexByte(p, '&') >= 0 {
		s.clusters(v, '&', entity, "html")
	}
	if bytes.IndexByte(p, '=') >= 0 {
		s.clusters(v, '=', quotedPrintable, stepQuoted)
	}
	s.literals(v)
	v.beside(long, func(v view) {
		s.numbers(v)
		s.periodic(v)
		s.columns(v)
		s.joined(v)
		s.dense(v)
	})
	s.wide(v)
	s.uu(v)
	s.yenc(v)
	s.words(v)
	s.base45(v)
	s.turnedHex(v)
	s.mirrored(v)
	s.unwound(v)
	if len(v.steps) == 0 && len(p) <= maxCombined {
		s.combined(v, p)
	}
}

// maxBegun is at how many of its pieces a text in pieces is begun: what is read from a later one is the end of
// what was read from those before.
const maxBegun = 4

// runs finds what may be base64, base32, base58 or hex.
func (s *scan) runs(v view) {
	p := v.text
	end, begun := 0, 0 // of a text in pieces with their own padding, and at how many of them it was begun
	for i := 0; i < len(p); {
		if class[p[i]]&in64 == 0 {
			i++
			continue
		}
		lo, all, any := i, uint8(0xff), uint8(0)
		for i < len(p) && class[p[i]]&in64 != 0 {
			c := class[p[i]]
			all &= c
			any |= c
			i++
		}
		if i-lo >= minRun {
			lo = unnamed(p, lo, i)
			s.run(v, lo, i, p[lo:i], all, any)
		}
		if i+1 < len(p) && p[i] == '=' && (lo >= end || begun < maxBegun) {
			if hi, out := padded(p, lo); hi > 0 {
				if lo >= end {
					end, begun = hi, 0
				}
				begun++
				s.child(v, lo, hi, out, "base64")
			}
		}
		if i-lo >= 8 && i+1 < len(p) && (p[i] == '\n' || p[i] == '\r' || p[i] == '\\' || p[i] == '"' || p[i] == '\'' || p[i] == '=') {
			if hi, text := unwrap(p, lo, i); text != nil {
				all, any = 0xff, 0
				for _, b := range text {
					all &= class[b]
					any |= class[b]
				}
				s.run(v, lo, hi, text, all, any)
				i = hi
			}
		}
	}
}

// unwrap joins the lines of a wrapped run: breaks, plain or escaped, with the quotes and commas
// around them, all lines but the last of one length.
func unwrap(p []byte, lo, hi int) (int, []byte) { //nolint:cyclop // one case a form, in the order they are told apart
	length, text := hi-lo, []byte(nil)
	for {
		next := hi
		for next < len(p) && next-hi < 40 && (p[next] == '\n' || p[next] == '\r' || p[next] == ' ' || p[next] == '\t' || p[next] == '"' || p[next] == '\'' || p[next] == ',' || p[next] == '=' || p[next] == '>' || p[next] == '#') {
			next++
		}
		escaped := false
		for next+1 < len(p) && p[next] == '\\' && (p[next+1] == 'n' || p[next+1] == 'r') {
			next, escaped = next+2, true
		}
		if next == hi || !escaped && !bytes.ContainsAny(p[hi:next], "\n") {
			break
		}
		end := next
		for end < len(p) && end-next < length && class[p[end]]&in64 != 0 {
			end++
		}
		if end == next || end < len(p) && end-next == length && class[p[end]]&in64 != 0 {
			break
		}
		if text == nil {
			text = slices.Clone(p[lo:hi])
		}
		text, hi = append(text, p[next:end]...), end
		if end-next < length {
			break
		}
	}
	if len(text) < minRun {
		return hi, nil
	}
	return hi, text
}

func (s *scan) run(v view, lo, hi int, text []byte, all, any uint8) {
	mixed := any&inUpper != 0 && any&inLower != 0
	if worded(text) {
		if all&in32 != 0 && !mixed {
			s.base32(v, lo, hi, text, "base32")
		}
		s.shifted(v, lo, hi, text)
		return
	}
	if all&inHex != 0 && len(text) >= minRun {
		s.hex(v, lo, hi, text, "hex")
		if len(text) <= 4096 {
			s.hex(v, lo, hi, reversed.apply(text), "reversed, hex")
		}
	}
	if all&in32 != 0 && !mixed {
		s.base32(v, lo, hi, text, "base32")
		if len(text) <= 4096 {
			s.base32(v, lo, hi, reversed.apply(text), "reversed, base32")
			s.base32(v, lo, hi, rotated.apply(text), "rot13, base32")
		}
	} else {
		s.islands(v, lo, text)
	}
	s.numeral(v, lo, hi, text, "")
	if len(text) <= 1024 {
		for t := reversed; t <= swapped; t++ {
			s.numeral(v, lo, hi, t.apply(text), t.String()+", ")
		}
	}
	s.shifted(v, lo, hi, text)
	if !mixed {
		s.otherFives(v, lo, hi, text)
	}
	s.base64(v, lo, hi, text, "base64", aligned(text, straight)|1)
	if len(text) <= 4096 {
		if at := aligned(text, reversed); at != 0 {
			s.base64(v, lo, hi, reversed.apply(text), "reversed, base64", at)
		}
		if at := aligned(text, rotated); at != 0 {
			s.base64(v, lo, hi, rotated.apply(text), "rot13, base64", at)
		}
		if at := aligned(text, swapped); at != 0 {
			s.base64(v, lo, hi, swapped.apply(text), "swapped case, base64", at)
		}
	}
}

// worded reports whether a run is made of words: letters alone, and each capital among them begins one or
// follows another capital. Of sixteen digits of base64, base58 or hex not one in a thousand is. Base32, which
// has but one case, may be.
func worded(run []byte) bool {
	last := uint8(0)
	for i, b := range run {
		c := class[b] & (inUpper | inLower)
		if b >= '0' && b <= '9' || c == inUpper && last == inLower && (i+1 == len(run) || class[run[i+1]]&inLower == 0) {
			return false
		}
		last = c
	}
	return true
}

// islands are runs of hex and of one-case base32 that are glued to other letters.
func (s *scan) islands(v view, lo int, text []byte) {
	const least = 24
	for _, kind := range []struct {
		all, no uint8
		do      func(view, int, int, []byte, string)
		tag     string
	}{
		{inHex, 0, s.hex, "hex"},
		{in32, inLower, s.base32, "base32"},
		{in32, inUpper, s.base32, "base32"},
	} {
		for i := least - 1; i < len(text); {
			if class[text[i]]&(kind.all|kind.no) != kind.all {
				i += least // none that is long enough holds this one
				continue
			}
			a := i
			for a > 0 && class[text[a-1]]&(kind.all|kind.no) == kind.all {
				a--
			}
			for i < len(text) && class[text[i]]&(kind.all|kind.no) == kind.all {
				i++
			}
			if i-a >= least && i-a < len(text) {
				kind.do(v, lo+a, lo+i, text[a:i], kind.tag)
			}
			i += least
		}
	}
}

func (s *scan) hex(v view, lo, hi int, text []byte, step string) {
	for skip := range 2 {
		part := text[min(skip, len(text)):]
		out := make([]byte, len(part)/2)
		if n, err := hex.Decode(out, part[:len(part)&^1]); err == nil {
			s.decoded(v, lo, hi, out[:n], step, skip)
		}
	}
}

// decoded takes what was read at an alignment. Any but the first is a guess, and so is what a run
// holds once it is turned.
func (s *scan) decoded(v view, lo, hi int, out []byte, step string, skip int) {
	if skip > 0 || strings.Contains(step, ", ") || !several(v.text[lo:hi]) {
		if len(out) >= 6 && worth(out) {
			s.follow(v, lo, hi, out, step)
		}
		return
	}
	if len(out) >= 6 && worth(out) {
		s.follow(v, lo, hi, out, step)
	} else if s.noise(v, lo, hi, out, step) {
		return // it was read as combined
	}
	if len(out) <= tiny {
		s.combined(v.next(lo, hi, step), out)
	}
}

// several reports whether a run has digits and letters: a word is rarely packed data.
func several(run []byte) bool {
	kinds := uint8(0)
	for _, b := range run[:min(len(run), 256)] {
		switch c := class[b]; {
		case c&inUpper != 0:
			kinds |= 1
		case c&inLower != 0:
			kinds |= 2
		case b >= '0' && b <= '9':
			kinds |= 4
		}
	}
	return kinds > 4
}

var digits64 = func() (t [256]uint8) {
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = uint8(i)
	}
	t['-'], t['_'] = 62, 63
	return t
}()

// base64 reads both alphabets at each alignment that may hold something, because what stands before may be
// glued to it.
func (s *scan) base64(v view, lo, hi int, text []byte, step string, at uint8) {
	out := make([]byte, 0, len(text)/4*3+3)
	for skip := 0; skip < 4 && skip < len(text); skip++ {
		if at>>skip&1 == 0 {
			continue
		}
		part := text[skip:]
		out = out[:0]
		for len(part) >= 4 {
			n := uint32(digits64[part[0]])<<18 | uint32(digits64[part[1]])<<12 | uint32(digits64[part[2]])<<6 | uint32(digits64[part[3]])
			out = append(out, byte(n>>16), byte(n>>8), byte(n))
			part = part[4:]
		}
		if len(part) >= 2 {
			n := uint32(digits64[part[0]])<<18 | uint32(digits64[part[1]])<<12
			out = append(out, byte(n>>16))
			if len(part) == 3 {
				n |= uint32(digits64[part[2]]) << 6
				out = append(out, byte(n>>8))
			}
		}
		if worth(out) || skip == 0 {
			s.decoded(v, lo, hi, slices.Clone(out), step, skip)
		}
	}
}

func (s *scan) base32(v view, lo, hi int, text []byte, step string) {
	for skip := 0; skip < 8 && skip+8 <= len(text); skip++ {
		out := make([]byte, 0, len(text)*5/8)
		var acc uint64
		bits := 0
		for _, b := range text[skip:] {
			c := fold(b)
			d := uint64(c - 'a')
			if c >= '2' && c <= '7' {
				d = uint64(c-'2') + 26
			}
			acc, bits = acc<<5|d, bits+5
			if bits >= 8 {
				bits -= 8
				out = append(out, byte(acc>>bits))
			}
		}
		s.decoded(v, lo, hi, out, step, skip)
	}
}

// single is one character's escape at the start of p: what it stands for and its length, or 0.
type single func(p []byte) (out []byte, n int)

// clusters decodes the neighbourhood of escapes: as far as a token goes on either side.
func (s *scan) clusters(v view, mark byte, one single, step string) {
	p := v.text
	for i := 0; i < len(p); {
		j := bytes.IndexByte(p[i:], mark)
		if j < 0 {
			return
		}
		i += j
		if _, n := one(p[i:]); n == 0 {
			i++
			continue
		}
		lo := i
		for lo > 0 && i-lo < 2048 && glued(p[lo-1]) {
			lo--
		}
		var out []byte
		out = append(out, p[lo:i]...)
		first := i
		plain := 0
		for i < len(p) && plain < 2048 {
			if p[i] == mark {
				if c, n := one(p[i:]); n > 0 {
					out, i, plain = append(out, c...), i+n, 0
					continue
				}
			}
			gap := p[i] == ' ' || p[i] == '\n' || p[i] == '\r'
			if !glued(p[i]) && p[i] != mark && !gap || gap && bytes.IndexByte(p[i:min(len(p), i+8)], mark) < 0 { // a gap between words ends it, unless more follows at once
				break
			}
			out, i, plain = append(out, p[i]), i+1, plain+1
		}
		s.unescaped(v, lo, first, i, out, step)
		if mark == '%' && bytes.IndexByte(out, '+') >= 0 { // a form writes blanks so
			s.child(v, lo, i, bytes.ReplaceAll(out, []byte{'+'}, []byte{' '}), "form")
		}
	}
}

// unescaped takes what escapes from first on were decoded to. The padding of a digest at a line's end is one
// by chance.
func (s *scan) unescaped(v view, lo, first, hi int, out []byte, step string) {
	if v.text[first] != '=' || !digest(v.text[lo:first+1]) || !s.hopeless(v, out, v.guess > 0, step) {
		s.child(v, lo, hi, out, step)
	}
}

func glued(b byte) bool { return b > ' ' && b != '"' && b != '<' || b >= 0x80 }
