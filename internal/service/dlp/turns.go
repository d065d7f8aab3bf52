package dlp

import (
	"bytes"
	"strconv"
)

// A text that was turned letter by letter is still text. It is looked at once, and not decoded on:
// what else may hide in it would have to be a guess on top of a guess.

// leaf looks at a text without decoding it.
func (s *scan) leaf(next view, out []byte) {
	if !s.promising(out) {
		return
	}
	if s.work -= len(out); s.work < 0 {
		s.limit(next, RuleWork)
		return
	}
	next.text, next.leaf = out, true
	m, p := len(s.marks), len(s.packs)
	s.marks, s.packs = survey(out, true, s.marks, s.packs)
	s.match(next, s.marks[m:])
	s.marks, s.packs = s.marks[:m], s.packs[:p]
}

// promising reports whether any pattern that counts in a leaf stands in a text.
func (s *scan) promising(p []byte) bool {
	return s.t.leaf.holds(p, s.t.fold)
}

// shifted reads a run as one whose letters were moved along the alphabet, or mirrored in it, where
// one of the moves makes it begin as a secret begins.
func (s *scan) shifted(v view, lo, hi int, text []byte) {
	if len(text) < minRun || len(text) > 512 {
		return
	}
	var head [8]byte
	for n := 1; n <= 26; n++ {
		x := uint64(shift(text[0], n)) | uint64(shift(text[1], n))<<8 | uint64(shift(text[2], n))<<16 | caseless
		if s.t.grams.has(x)&1 == 0 {
			continue
		}
		for i := range head {
			head[i] = shift(text[i], n)
		}
		if !s.t.grams.begins(head[:], s.t.fold) {
			continue
		}
		out := make([]byte, len(text))
		for i, b := range text {
			out[i] = shift(b, n)
		}
		step := "rot" + strconv.Itoa(26-n)
		if n == 26 {
			step = "atbash"
		}
		s.leaf(v.next(lo, hi, step), out)
	}
}

// shift moves a letter n places on; with 26 it mirrors it.
func shift(b byte, n int) byte {
	first := byte('a')
	switch {
	case b >= 'a' && b <= 'z':
	case b >= 'A' && b <= 'Z':
		first = 'A'
	default:
		return b
	}
	if n == 26 {
		return first + 25 - (b - first)
	}
	return first + (b-first+byte(n))%26
}

var turned47 = func() (t [256]byte) {
	for b := byte('!'); b <= '~'; b++ {
		t[b] = '!' + (b-'!'+47)%94
	}
	return t
}()

// rot47 turns all printable signs.
func (s *scan) rot47(v view, lo, hi int, text []byte) {
	out := s.turned[:len(text)]
	for i, b := range text {
		out[i] = turned47[b]
	}
	if !s.promising(out) {
		return
	}
	out = bytes.Clone(out)
	s.leaf(v.next(lo, hi, "rot47"), out)
}

// unwound reads runs that end as a secret begins once it is turned by rot13 and reversed.
func (s *scan) unwound(v view) {
	p := v.text
	for i := minRun; i <= len(p); i++ {
		if !wordByte(p[i-1]) || i < len(p) && (wordByte(p[i]) || p[i] == '-') {
			continue
		}
		x := uint64(rot13(p[i-1])) | uint64(rot13(p[i-2]))<<8 | uint64(rot13(p[i-3]))<<16 | caseless
		if s.t.grams.has(x)&1 == 0 {
			continue
		}
		if head := rotated.apply(reversed.apply(p[i-8 : i])); !s.t.grams.begins(head, s.t.fold) && string(head[:3]) != "eyJ" {
			continue
		}
		lo := i
		for lo > 0 && i-lo < maxCombined && solidByte[p[lo-1]] {
			lo--
		}
		if i-lo >= minRun {
			s.leaf(v.next(lo, i, "reversed, rot13"), rotated.apply(reversed.apply(p[lo:i])))
		}
	}
}
