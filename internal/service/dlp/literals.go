package dlp

import (
	"strconv"
	"unicode/utf8"
)

// literals reads strings that hold packed data: those of JSON, whose letters stand for a byte each, and the
// bytes that a language prints.
func (s *scan) literals(v view) {
	p := v.text
	var head [16]byte
	spare := 4 * len(p) // bytes of what turns out to be none
	for i := 0; i+8 < len(p) && spare > 0; i++ {
		if q := p[i]; q != '"' && q != '\'' || p[i+1] != '\\' && p[i+1] < utf8.RuneSelf && magicFirst[p[i+1]] == 0 {
			continue
		}
		if first, _ := literal(head[:0], p[i+1:min(len(p), i+96)], p[i], len(head)); magic(first) == "" {
			continue
		}
		out, n := literal(nil, p[i+1:], p[i], maxInflated)
		if end := i + 1 + n; end == len(p) || p[end] == p[i] {
			s.child(v, i+1, end, out, "string")
			i = end
		} else {
			spare -= n
		}
	}
}

// literal appends the bytes that a string says up to its closing quote, at most so many, and tells how long
// it is.
func literal(out, p []byte, quote byte, most int) (said []byte, n int) {
	for n < len(p) && len(out) < most && p[n] != quote {
		switch {
		case p[n] == '\\' && n+1 < len(p):
			b, size := escapedByte(p[n:])
			if size == 0 {
				return out, n
			}
			out, n = append(out, b), n+size
		case p[n]&0xfe == 0xc2 && n+1 < len(p) && p[n+1]&0xc0 == 0x80:
			out, n = append(out, p[n]<<6|p[n+1]&0x3f), n+2
		case p[n] < ' ' || p[n] >= utf8.RuneSelf:
			return out, n // no string has it
		default:
			out, n = append(out, p[n]), n+1
		}
	}
	return out, n
}

// escapedByte is the byte that an escape stands for, and the escape's length, or 0 where it stands for more.
func escapedByte(p []byte) (b byte, size int) {
	var digits int
	switch p[1] {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'v':
		return '\v', 2
	case 'a':
		return '\a', 2
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case '0', '1', '2', '3', '4', '5', '6', '7':
		for size = 1; size < min(len(p), 4) && p[size] >= '0' && p[size] <= '7'; size++ {
			b = b<<3 | p[size] - '0'
		}
		return b, size
	default:
		return p[1], 2
	}
	if len(p) < 2+digits {
		return 0, 0
	}
	r, err := strconv.ParseUint(string(p[2:2+digits]), 16, 8)
	if err != nil {
		return 0, 0
	}
	return byte(r), 2 + digits
}
