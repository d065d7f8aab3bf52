package dlp

import "unicode/utf8"

// pages reads letters of which only the last byte counts: Braille, variation selectors, any block
// of 256 that one would write bytes in.
func (s *scan) pages(v view) {
	p := v.text
	for i := 0; i < len(p); {
		if p[i] < 0xc4 {
			i++
			continue
		}
		r, n := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError || n < 2 {
			i++
			continue
		}
		lo, page := i, pageOf(r)
		var out []byte
		for i < len(p) {
			r, n = utf8.DecodeRune(p[i:])
			if r == utf8.RuneError || pageOf(r) != page {
				break
			}
			if page == selectors && r >= 0xE0100 {
				r += 16
			}
			out, i = append(out, byte(r)), i+n
		}
		if len(out) >= minPart {
			s.perhaps(v, lo, i, out, "low bytes")
		}
		i = max(i, lo+1)
	}
}

const selectors = -2

// pageOf is a letter's block of 256, the two blocks of variation selectors as one; ASCII has none.
func pageOf(r rune) rune {
	switch {
	case r < 0x100:
		return -1
	case r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0100 && r <= 0xE01EF:
		return selectors
	}
	return r >> 8
}
