package dlp

import "strconv"

// A text that was turned letter by letter is still text. It is looked at once, and not decoded on:
// what else may hide in it would have to be a guess on top of a guess.

// leaf looks at a text without decoding it.
func (s *scan) leaf(next view, out []byte) {
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

// shifted reads a run as one whose letters were moved along the alphabet, or mirrored in it, where
// one of the moves makes it begin as a secret begins.
func (s *scan) shifted(v view, lo, hi int, text []byte) {
	if len(text) < minRun || len(text) > 512 {
		return
	}
	var head [8]byte
	for n := 1; n <= 26; n++ {
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

// rot47 turns all printable signs.
func (s *scan) rot47(v view, lo, hi int, text []byte) {
	out := make([]byte, len(text))
	for i, b := range text {
		out[i] = '!' + (b-'!'+47)%94
	}
	s.leaf(v.next(lo, hi, "rot47"), out)
}

// keySet is a set of the keys with which a byte was, perhaps, combined.
type keySet [4]uint64

// keysOf has for each byte the keys that make it a printable one.
var keysOf = func() (t [256]keySet) {
	for b := range t {
		for k := 1; k < 256; k++ {
			if c := byte(b ^ k); c > ' ' && c <= '~' || c == ' ' || c == '\n' {
				t[b][k>>6] |= 1 << (k & 63)
			}
		}
	}
	return t
}()

const maxCombined = 4096

// combined reads bytes as text combined with one byte by exclusive or, wherever sixteen or more
// in a row could be that.
func (s *scan) combined(v view, p []byte) {
	if len(p) > maxCombined {
		return
	}
	for i := 0; i+minRun <= len(p); {
		keys := keysOf[p[i]]
		j := i + 1
		for ; j < len(p); j++ {
			k := &keysOf[p[j]]
			next := keySet{keys[0] & k[0], keys[1] & k[1], keys[2] & k[2], keys[3] & k[3]}
			if next == (keySet{}) {
				break
			}
			keys = next
		}
		if j-i >= minRun {
			s.withKeys(v, p[i:j], keys)
			i = j
			continue
		}
		i++
	}
}

// withKeys tries each key that makes all of p printable.
func (s *scan) withKeys(v view, p []byte, keys keySet) {
	out := make([]byte, len(p))
	for k := 1; k < 256; k++ {
		if keys[k>>6]>>(k&63)&1 == 0 {
			continue
		}
		run, longest := 0, 0
		for n := range out {
			out[n] = p[n] ^ byte(k)
			if run++; !tokenByte[out[n]] && out[n] != '!' {
				run = 0
			}
			longest = max(longest, run)
		}
		if longest >= minPart {
			s.leaf(v.next(0, len(p), "xor "+strconv.Itoa(k)), out)
		}
	}
}
