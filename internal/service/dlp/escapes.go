package dlp

import (
	"bytes"
	"html"
	"strconv"
	"unicode/utf16"
)

func unhex(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return int(b|0x20-'a') + 10
	}
	return -1
}

func percent(p []byte) ([]byte, int) {
	if len(p) >= 6 && p[1]|0x20 == 'u' {
		if r, err := strconv.ParseUint(string(p[2:6]), 16, 32); err == nil {
			return []byte(string(rune(r))), 6
		}
	}
	if len(p) < 3 || unhex(p[1]) < 0 || unhex(p[2]) < 0 {
		return nil, 0
	}
	return []byte{byte(unhex(p[1])<<4 | unhex(p[2]))}, 3
}

func quotedPrintable(p []byte) ([]byte, int) {
	if bytes.HasPrefix(p, []byte("=\r\n")) {
		return nil, 3
	}
	if bytes.HasPrefix(p, []byte("=\n")) {
		return nil, 2
	}
	return percent(p)
}

// backslash decodes \uXXXX, \u{X}, \UXXXXXXXX, \xXX, \ooo, an escaped backslash and the escapes
// of punctuation. A line's end is left as it is: rules know it.
func backslash(p []byte) ([]byte, int) {
	if len(p) < 2 {
		return nil, 0
	}
	var digits int
	n := 2
	switch p[1] {
	case 'u':
		if len(p) > 3 && p[2] == '{' {
			end := bytes.IndexByte(p[:min(len(p), 12)], '}')
			if end < 4 {
				return nil, 0
			}
			r, err := strconv.ParseUint(string(p[3:end]), 16, 32)
			if err != nil {
				return nil, 0
			}
			return []byte(string(rune(r))), end + 1
		}
		digits = 4
	case 'U':
		digits = 8
	case 'x':
		digits = 2
	case '\\', '/':
		return p[1:2], 2
	default:
		for n = 1; n < len(p) && n < 4 && p[n] >= '0' && p[n] <= '7'; n++ {
		}
		if n < 3 {
			return nil, 0
		}
		r, _ := strconv.ParseUint(string(p[1:n]), 8, 32)
		return []byte{byte(r)}, n
	}
	if len(p) < n+digits {
		return nil, 0
	}
	r, err := strconv.ParseUint(string(p[n:n+digits]), 16, 32)
	if err != nil {
		return nil, 0
	}
	if digits == 2 {
		return []byte{byte(r)}, n + digits
	}
	n += digits
	if low := lowSurrogate(p[n:]); low > 0 && utf16.IsSurrogate(rune(r)) {
		return []byte(string(utf16.DecodeRune(rune(r), low))), n + 6
	}
	return []byte(string(rune(r))), n
}

// lowSurrogate is the second half of a letter that JSON escapes as two, or 0.
func lowSurrogate(p []byte) rune {
	if len(p) < 6 || p[0] != '\\' || p[1] != 'u' || p[2]|0x20 != 'd' {
		return 0
	}
	r, err := strconv.ParseUint(string(p[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(r)
}

// cssEscape decodes CSS's \67 and \000067, and LDAP's \67.
func cssEscape(p []byte) ([]byte, int) {
	n := 1
	for n < len(p) && n < 7 && unhex(p[n]) >= 0 {
		n++
	}
	if n < 3 {
		return nil, 0
	}
	if n != 7 {
		n = 3
	}
	r, _ := strconv.ParseUint(string(p[1:n]), 16, 32)
	if n < len(p) && p[n] == ' ' {
		n++
	}
	return []byte(string(rune(r))), n
}

func entity(p []byte) ([]byte, int) {
	p = p[:min(len(p), 32)]
	end := bytes.IndexByte(p, ';')
	if end < 0 {
		if len(p) < 4 || p[1] != '#' { // browsers read numbers without the semicolon
			return nil, 0
		}
		for end = 2; end < len(p) && (unhex(p[end]) >= 0 || p[end]|0x20 == 'x'); end++ {
		}
		end--
	}
	if end < 2 || bytes.ContainsAny(p[1:end], " &=\"") {
		return nil, 0
	}
	out := html.UnescapeString(string(p[:end+1]))
	if out == string(p[:end+1]) {
		return nil, 0
	}
	return []byte(out), end + 1
}
