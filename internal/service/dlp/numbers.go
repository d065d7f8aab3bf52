package dlp

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
)

// triples reads a run of digits as numbers of three of them each.
func (s *scan) triples(v view, lo, hi int, item []byte) {
	if len(item) < 36 || v.guess >= maxGuess || !digitsOnly(item) {
		return
	}
	for skip := range 3 {
		var out []byte
		for p := item[skip:]; len(p) >= 3; p = p[3:] {
			n := int(p[0]-'0')*100 + int(p[1]-'0')*10 + int(p[2]-'0')
			if n > 255 {
				break
			}
			out = append(out, byte(n))
		}
		s.perhaps(v, lo, hi, out, "decimal list")
	}
}

// wideNumbers reads numbers that stand for two, four or eight bytes each, in either order: what od(1)
// prints, and arrays of such in code.
func (s *scan) wideNumbers(v view, lo, hi int, items [][]byte) {
	if v.guess >= maxGuess {
		return
	}
	for _, base := range []int{10, 16, 8} {
		var all []uint64
		most := uint64(0)
		for _, item := range items {
			if base == 16 && len(item) > 2 && item[1]|0x20 == 'x' {
				item = item[2:]
			}
			n, err := strconv.ParseUint(string(item), base, 64)
			if err != nil {
				all = nil
				break
			}
			all, most = append(all, n), max(most, n)
		}
		if most <= math.MaxUint8 || len(all) == 0 {
			continue
		}
		var little, big []byte
		for _, n := range all {
			switch {
			case most <= math.MaxUint16:
				little, big = binary.LittleEndian.AppendUint16(little, uint16(n)), binary.BigEndian.AppendUint16(big, uint16(n))
			case most <= math.MaxUint32:
				little, big = binary.LittleEndian.AppendUint32(little, uint32(n)), binary.BigEndian.AppendUint32(big, uint32(n))
			default:
				little, big = binary.LittleEndian.AppendUint64(little, n), binary.BigEndian.AppendUint64(big, n)
			}
		}
		s.perhaps(v, lo, hi, little, "list of words")
		s.perhaps(v, lo, hi, big, "list of words")
	}
}

// padded decodes base64 that was written in pieces, each with its own padding. hi is 0 where there is
// but one.
func padded(p []byte, lo int) (hi int, out []byte) {
	n := 0
	for i := lo; i < len(p); n++ {
		a := i
		for i < len(p) && class[p[i]]&in64 != 0 {
			i++
		}
		b := i
		for i < len(p) && p[i] == '=' && i-b < 2 {
			i++
		}
		if b-a < 2 || i > b && (i-a)&3 != 0 || i == b && n == 0 {
			break
		}
		for q := p[a:b]; len(q) > 1; q = q[min(4, len(q)):] {
			var d [4]uint32
			for k := range min(4, len(q)) {
				d[k] = uint32(digits64[q[k]])
			}
			v := d[0]<<18 | d[1]<<12 | d[2]<<6 | d[3]
			out = append(out, []byte{byte(v >> 16), byte(v >> 8), byte(v)}[:min(3, len(q)-1)]...)
		}
		if hi = i; i == b {
			n++
			break
		}
	}
	if n < 2 || hi-lo < minRun {
		return 0, nil
	}
	return hi, out
}

// alphabet45 is that of RFC 9285.
const alphabet45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

var digits45 = alphabet(alphabet45)

// base45 reads runs of its alphabet that hold some of its signs and no word.
func (s *scan) base45(v view) {
	p := v.text
	for i := 0; i < len(p); {
		if digits45[p[i]] == none || p[i] == ' ' {
			i++
			continue
		}
		lo, signs := i, 0
		for i < len(p) && digits45[p[i]] != none {
			if kinds[p[i]]&(isUpper|isDigit) == 0 {
				signs++
			}
			i++
		}
		if i-lo < 24 || signs < 2 {
			continue
		}
		text := p[lo:i]
		out := make([]byte, 0, len(text)*2/3)
		for ; len(text) >= 2; text = text[min(3, len(text)):] {
			n := int(digits45[text[0]]) + 45*int(digits45[text[1]])
			if len(text) == 2 {
				out = append(out, byte(n))
				break
			}
			if n += 45 * 45 * int(digits45[text[2]]); n > math.MaxUint16 {
				break
			}
			out = append(out, byte(n>>8), byte(n))
		}
		s.perhaps(v, lo, i, out, "base45")
	}
}

// turnedHex reads what is digits and the letters that a to f become by rot13, with any signs between
// them: hex in any dress.
func (s *scan) turnedHex(v view) {
	p := v.text
	if v.guess >= maxGuess {
		return
	}
	for i := 0; i < len(p); {
		if !hexTurned(p[i]) {
			i++
			continue
		}
		lo, letters := i, 0
		for i < len(p) && (hexTurned(p[i]) || kinds[p[i]]&(isLower|isUpper|isHigh) == 0 && p[i] != '"') {
			if kinds[p[i]]&(isLower|isUpper) != 0 {
				letters++
			}
			i++
		}
		if i-lo >= 2*minRun && letters >= 3 {
			s.perhaps(v, lo, i, rotated.apply(p[lo:i]), rotated.String())
		}
	}
}

func hexTurned(b byte) bool {
	return b >= '0' && b <= '9' || b|0x20 >= 'n' && b|0x20 <= 's'
}

// mirrored reads a text backwards where some of it shows that it was written so: the ends of entities, of
// uuencode's frame, or of packed data.
func (s *scan) mirrored(v view) {
	p := v.text
	if bytes.Contains(p, []byte("#&;")) || bytes.Contains(p, []byte(" nigeb")) {
		s.perhaps(v, 0, len(p), reversed.apply(p), reversed.String())
	}
	if bytes.Contains(p, []byte("ortva ")) { // begin
		s.perhaps(v, 0, len(p), rotated.apply(p), rotated.String())
	}
}

// endsPacked reads data backwards that ends as packed data begins.
func (s *scan) endsPacked(v view) {
	n := len(v.text)
	if n < 24 || s.more && v.ends {
		return
	}
	if packedBackwards(v.text) {
		s.perhaps(v, 0, n, reversed.apply(v.text), reversed.String())
	}
}

// packedBackwards reports whether a text ends as packed data begins.
func packedBackwards(p []byte) bool {
	if len(p) < 24 {
		return false
	}
	name := magic(reversed.apply(p[len(p)-16:]))
	return name != "" && name != "compress"
}

// backwards is a list of numbers whose text was reversed.
func backwards(items [][]byte) [][]byte {
	out := make([][]byte, 0, len(items))
	for _, item := range slices.Backward(items) {
		out = append(out, reversed.apply(item))
	}
	return out
}
