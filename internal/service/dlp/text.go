package dlp

import (
	"bytes"
	"encoding/binary"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// dense reads runs of printable bytes as base85 (RFC 1924's alphabet, as git and Python use it)
// and as ascii85.
const maxDense = 16380 // of a run at once: whole groups of five

func (s *scan) dense(v view) {
	p := v.text
	joined := 0 // up to where lines were
	for i := 0; i < len(p); {
		if p[i] <= ' ' || p[i] > '~' {
			i++
			continue
		}
		lo, odd := i, 0
		for i < len(p) && p[i] > ' ' && p[i] <= '~' && i-lo < maxDense {
			if class[p[i]]&in64 == 0 {
				odd++
			}
			i++
		}
		if i-lo < 20 || odd == 0 {
			continue
		}
		if lo >= joined {
			if hi, whole := evenLines(p, lo, i); whole != nil {
				joined = hi
				s.bases85(v, lo, hi, bytes.TrimSuffix(bytes.TrimPrefix(whole, []byte("<~")), []byte("~>")))
			}
		}
		text := p[lo:i]
		if a := bytes.Index(text, []byte("<~")); a >= 0 {
			text = text[a+2:]
		}
		text = bytes.TrimSuffix(text, []byte("~>"))
		// It may stand between quotes or behind a name.
		s.bases85(v, lo, i, text)
		for _, q := range []byte{'"', '\'', '=', ':', '>'} {
			if a := bytes.IndexByte(text, q); a >= 0 {
				part := text[a+1:]
				part = bytes.TrimLeft(part, "\"'")
				if b := bytes.IndexAny(part, "\"'"); b >= 0 {
					s.bases85(v, lo, i, part[:b])
				}
				s.bases85(v, lo, i, part)
			}
		}
	}
}

// evenLines joins lines without a blank of which all but the last are as long as the first, p[lo:hi].
func evenLines(p []byte, lo, hi int) (end int, whole []byte) {
	for length := hi - lo; hi-lo < maxDense; {
		next := hi
		if next < len(p) && p[next] == '\r' {
			next++
		}
		if next >= len(p) || p[next] != '\n' {
			break
		}
		next++
		end := next
		for end < len(p) && end-next <= length && p[end] > ' ' && p[end] <= '~' {
			end++
		}
		if end == next || end-next > length {
			break
		}
		if whole == nil {
			whole = bytes.Clone(p[lo:hi])
		}
		whole, hi = append(whole, p[next:end]...), end
		if end-next < length {
			break
		}
	}
	return hi, whole
}

func (s *scan) bases85(v view, lo, hi int, text []byte) {
	if len(text) < 15 {
		return
	}
	s.base85(v, lo, hi, text, &digits85, "base85")
	s.base85(v, lo, hi, text, &digitsASCII85, "ascii85")
	s.base85(v, lo, hi, text, &digitsZ85, "z85")
	s.base91(v, lo, hi, text)
	if len(text) <= 512 {
		s.rot47(v, lo, hi, text)
	}
}

var digits85 = func() (t [256]int16) {
	for i := range t {
		t[i] = -1
	}
	for i, c := range []byte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~") {
		t[c] = int16(i)
	}
	return t
}()

var digitsASCII85 = func() (t [256]int16) {
	for i := range t {
		t[i] = -1
	}
	for c := '!'; c <= 'u'; c++ {
		t[c] = int16(c - '!')
	}
	return t
}()

func (s *scan) base85(v view, lo, hi int, text []byte, digits *[256]int16, step string) {
	out := make([]byte, 0, len(text))
	printable := 0
	for len(text) > 0 {
		n := min(5, len(text))
		if n == 1 {
			break
		}
		var acc uint64
		for i := range 5 {
			d := int16(84)
			if i < n {
				if d = digits[text[i]]; d < 0 {
					n = -1
					break
				}
			}
			acc = acc*85 + uint64(d)
		}
		if n < 0 || acc > 1<<32-1 {
			break
		}
		var quad [4]byte
		binary.BigEndian.PutUint32(quad[:], uint32(acc))
		for _, b := range quad[:n-1] {
			if b >= ' ' && b <= '~' || b == '\n' || b == 0 {
				printable++
			}
		}
		out = append(out, quad[:n-1]...)
		text = text[n:]
		if len(out) == 12 && printable < 9 && magic(out) == "" {
			return
		}
	}
	s.perhaps(v, lo, hi, out, step)
}

// unicode reads letters that only look like, or hide between, those of a token: full width,
// mathematical, other alphabets' look-alikes, tag characters, combining marks, zero width.
func (s *scan) unicode(v view) { //nolint:funlen // one pass over the runes; each kind is a case
	p := v.text
	first := -1
	for i, b := range p {
		if b >= 0x80 {
			first = i
			break
		}
	}
	if first < 0 {
		return
	}
	bmp := changes()
	bad := 0
	for i := first; i < len(p); {
		if p[i] < 0x80 {
			i++
			continue
		}
		r, n := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError {
			if bad++; bad > 64 { // no text: the next block may be
				i, bad = (i|1023)+1, 0
				continue
			}
			i += max(n, 1)
			continue
		}
		if r < 1<<16 && !bmp[r>>8]()[r&0xff] {
			i += n
			continue
		}
		if _, changed := plain(r, p[i:i+n]); !changed {
			i += n
			continue
		}
		lo := i
		for lo > 0 && i-lo < 1024 && glued(p[lo-1]) && p[lo-1] < 0x80 {
			lo--
		}
		out := bytes.Clone(p[lo:i])
		idle := 0
		for i < len(p) && idle < 256 {
			if p[i] < 0x80 {
				if !glued(p[i]) && !goesOn(p[i:]) {
					break
				}
				out, i, idle = append(out, p[i]), i+1, idle+1
				continue
			}
			r, n := utf8.DecodeRune(p[i:])
			if r == utf8.RuneError {
				break
			}
			text, changed := plain(r, p[i:i+n])
			if changed {
				idle = 0
			}
			out, i, idle = append(out, text...), i+n, idle+1
		}
		s.child(v, lo, i, out, "look-alikes")
	}
}

// goesOn reports whether letters beyond ASCII stand soon behind a gap between words.
func goesOn(p []byte) bool {
	if p[0] != ' ' && p[0] != '\n' && p[0] != '\r' {
		return false
	}
	for _, b := range p[1:min(len(p), 24)] {
		if b >= 0x80 {
			return true
		}
	}
	return false
}

// changes tells which runes of the first plane plain changes, block by block as they are met.
var changes = sync.OnceValue(func() *[256]func() *[256]bool {
	var pages [256]func() *[256]bool
	for page := range pages {
		pages[page] = sync.OnceValue(func() *[256]bool {
			var t [256]bool
			for i := range t {
				r := rune(page<<8 | i)
				_, t[i] = plain(r, []byte(string(r)))
			}
			return &t
		})
	}
	return &pages
})

func plain(r rune, raw []byte) ([]byte, bool) {
	switch {
	case r >= 0xE0020 && r <= 0xE007E:
		return []byte{byte(r - 0xE0000)}, true
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
		return nil, true
	case r == 0xA0 || r == 0x2800 || r == 0x3164:
		return nil, true
	}
	if c, ok := lookalikes[r]; ok {
		return []byte{c}, true
	}
	if form := norm.NFKD.Bytes(raw); len(form) > 0 && form[0] < 0x80 {
		return bytes.TrimRightFunc(form, func(r rune) bool { return r >= 0x80 }), true
	}
	return raw, false
}

// lookalikes are the letters of Unicode's confusables (UTS 39) that one reads as ASCII.
var lookalikes = func() map[rune]byte {
	m := map[rune]byte{}
	for _, pair := range [][2]string{
		{"аесорхуіјѕһԁԛԝьгпмтвнкıɡαοριντυχγκɑƅʟʀ", "aecopxyijshdqwbrnmtbhkigaopivtuxykabLR"},
		{"АВЕКМНОРСТХУІЈЅԌԚԜЗΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEKMHOPCTXYIJSGQW3ABEZHIKMNOPTYX"},
		{"‐‑‒–—―−﹣․ꓸ﹍﹎ˍ⁄∕", "--------..___//"},
	} {
		to := []byte(pair[1])
		i := 0
		for _, r := range pair[0] {
			m[r] = to[i]
			i++
		}
	}
	return m
}()

// wide reads UTF-16 and UTF-32 of either order.
func (s *scan) wide(v view) {
	p := v.text
	for i := 0; i < len(p); {
		j := bytes.IndexByte(p[i:], 0)
		if j < 0 {
			return
		}
		i += j
		lo := i
		if lo > 0 && p[lo-1] != 0 {
			lo--
		}
		var out []byte
		zeros := 0
		k := lo
		for ; k < len(p) && zeros < 4; k++ {
			switch b := p[k]; {
			case b == 0:
				zeros++
			case b >= ' ' && b <= '~' || b == '\n' || b == '\r' || b == '\t':
				if zeros == 0 && len(out) > 0 {
					goto end
				}
				out, zeros = append(out, b), 0
			default:
				goto end
			}
		}
	end:
		if len(out) >= 12 {
			s.child(v, lo, min(k, len(p)), out, "utf-16")
		}
		i = max(k, i+1)
	}
}
