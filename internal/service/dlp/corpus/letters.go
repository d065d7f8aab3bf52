package corpus

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand"
	"mime"
	"slices"
	"strings"
	"unicode/utf16"
)

func caesar(s string, n int) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+rune(n))%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+rune(n))%26
		}
		return r
	}, s)
}

func atbash(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'z' - (r - 'a')
		case r >= 'A' && r <= 'Z':
			return 'Z' - (r - 'A')
		}
		return r
	}, s)
}

func rot47(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r <= '~' {
			return '!' + (r-'!'+47)%94
		}
		return r
	}, s)
}

func xor(s string, key ...byte) string {
	b := []byte(s)
	for i := range b {
		b[i] ^= key[i%len(key)]
	}
	return string(b)
}

// styled puts letters and digits into a block of Unicode's that has them in a row.
func styled(s string, upper, lower, digit rune) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return lower + r - 'a'
		case r >= 'A' && r <= 'Z':
			return upper + r - 'A'
		case r >= '0' && r <= '9' && digit != 0:
			return digit + r - '0'
		}
		return r
	}, s)
}

func circled(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'ⓐ' + r - 'a'
		case r >= 'A' && r <= 'Z':
			return 'Ⓐ' + r - 'A'
		case r == '0':
			return '⓪'
		case r >= '1' && r <= '9':
			return '①' + r - '1'
		}
		return r
	}, s)
}

func wide(s string, big, mark bool, size int) string {
	var b []byte
	put := func(u uint32) {
		for i := range size {
			shift := 8 * i
			if big {
				shift = 8 * (size - 1 - i)
			}
			b = append(b, byte(u>>shift))
		}
	}
	if mark {
		put(0xFEFF)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		put(uint32(u))
	}
	return string(b)
}

func utf7(s string) string {
	return "+" + strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(wide(s, true, false, 2))), "=") + "-"
}

// written are the dresses of letters as other letters.
func written() []disguise {
	sign := func(r *rand.Rand) string {
		return choose(r, "-", ".", "_", "|", ",", ";", "/", "\\n", "\n", "\t", "*", "~", ":", " ", "  ", ", ", "--", " - ", "' '", "+")
	}
	return []disguise{
		{"letters apart", func(r *rand.Rand, s string) string { return wrap(lines(s, 1, sign(r))) }},
		{"pieces apart", func(r *rand.Rand, s string) string {
			return wrap(lines(s, 2+r.Intn(5), choose(r, "-", ".", "_", "|", ",", ";", "/", "\n", "*", "~", ":", " ", ", ", "--")))
		}},
		{"letters in lines", func(_ *rand.Rand, s string) string { return prose40 + "\n" + lines(s, 1, "\n") + "\n" + prose40 }},
		{"letters in quotes", func(r *rand.Rand, s string) string {
			return "k = " + choose(r, spell(s, "'%c'", "+"), spell(s, "'%c'", ", "), spell(s, `"%c"`, ","), spell(s, "`%c`", " "), spell(s, `"%c"`, ",\n  "), spell(s, "<b>%c</b>", ""), spell(s, "[%c]", ""), spell(s, "(%c)", " "))
		}},
		{"a filler between", func(r *rand.Rand, s string) string {
			return wrap(lines(s, 1, choose(r, "x", "0", "Z", "#", "xx", "ab")))
		}},
		{"percent, lower case", func(_ *rand.Rand, s string) string { return "GET /p?x=" + spell(s, "%%%02x", "") }},
		{"percent u", func(_ *rand.Rand, s string) string { return "q=" + spell(s, "%%u%04X", "") }},
		{"percent three times", func(_ *rand.Rand, s string) string { return "q=" + spell(s, "%%2525%02X", "") }},
		{"percent here and there", func(r *rand.Rand, s string) string {
			return "q=" + each(s, func(b byte) string {
				if r.Intn(3) == 0 {
					return fmt.Sprintf("%%%02X", b)
				}
				return string(b)
			}, "")
		}},
		{"escapes of any language", func(r *rand.Rand, s string) string {
			return "'" + spell(s, choose(r, `\u%04X`, `\u{%x}`, `\U%08x`, `\x%02X`, `\%03o`, `\%o`, `\\u%04x`, `\\x%02x`, `\x{%x}`, `\%02x`), "") + "'"
		}},
		{"CSS escapes", func(_ *rand.Rand, s string) string { return "content:'" + spell(s, `\%06x`, "") + "'" }},
		{"html entities, any form", func(r *rand.Rand, s string) string {
			return "<p>" + spell(s, choose(r, "&#%d;", "&#x%X;", "&#%07d;", "&#x%04x;", "&#%d", "&#x%x", "&amp;#%d;"), choose(r, "", "")) + " </p>"
		}},
		{"quoted-printable, every byte", func(_ *rand.Rand, s string) string { return lines(spell(s, "=%02X", ""), 60, "=\r\n") }},
		{"a soft break within", func(r *rand.Rand, s string) string {
			n := 1 + r.Intn(len(s)-1)
			return "Subject: x\r\n\r\nthe key is " + s[:n] + "=\r\n" + s[n:] + "\r\n"
		}},
		{"MIME words", func(r *rand.Rand, s string) string {
			return "Subject: " + choose(r, mime.BEncoding, mime.QEncoding).Encode("utf-8", "é"+s)
		}},
		{"UTF-7", func(_ *rand.Rand, s string) string { return "charset=utf-7\n\n" + utf7(s) }},
		{"UTF-16 and 32", func(r *rand.Rand, s string) string {
			return wide(wrap(s), r.Intn(2) == 0, r.Intn(2) == 0, choose(r, 2, 4))
		}},
		{"UTF-16, then base64", func(r *rand.Rand, s string) string { return wrap(b64(wide(s, r.Intn(2) == 0, false, 2))) }},
		{"Caesar's shifts", func(r *rand.Rand, s string) string { return wrap(caesar(s, 1+r.Intn(25))) }},
		{"atbash", func(_ *rand.Rand, s string) string { return wrap(atbash(s)) }},
		{"rot47", func(_ *rand.Rand, s string) string { return rot47(s) }},
		{"rot13, then base64", func(_ *rand.Rand, s string) string { return wrap(b64(rot13(s))) }},
		{"base64, then rot13", func(_ *rand.Rand, s string) string { return wrap(rot13(b64(s))) }},
		{"reversed words", func(_ *rand.Rand, s string) string { return prose40 + " " + reversed(s+" yek eht") }},
		{"reversed, then hex", func(_ *rand.Rand, s string) string { return wrap(hex.EncodeToString([]byte(reversed(s)))) }},
		{"hex, then reversed", func(_ *rand.Rand, s string) string { return wrap(reversed(hex.EncodeToString([]byte(s)))) }},
		{"xor with a byte, then base64", func(r *rand.Rand, s string) string { return wrap(b64(xor(s, byte(1+r.Intn(255))))) }},
		{"xor with a byte, then hex", func(r *rand.Rand, s string) string {
			return wrap(hex.EncodeToString([]byte(xor(s, byte(1+r.Intn(255))))))
		}},
		{"xor with a byte", func(r *rand.Rand, s string) string { return "raw:" + xor(s, byte(0x80+r.Intn(127))) }},
		{"circled letters", func(_ *rand.Rand, s string) string { return wrap(circled(s)) }},
		{"mathematical letters", func(r *rand.Rand, s string) string {
			return wrap(choose(r, styled(s, 0x1D400, 0x1D41A, 0x1D7CE), styled(s, 0x1D5A0, 0x1D5BA, 0x1D7E2), styled(s, 0x1D670, 0x1D68A, 0x1D7F6), styled(s, 0x1D468, 0x1D482, 0)))
		}},
		{"full width in escapes", func(_ *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return fmt.Sprintf(`\u%04x`, int(b)+0xFEE0) }, ""))
		}},
		{"invisible letters between", func(r *rand.Rand, s string) string {
			return wrap(lines(s, 1, choose(r, "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u180e", "\u034f", "\ufe0f", "\u202e", "\u2066", "\u061c", "\u115f")))
		}},
		{"invisible letters in escapes", func(_ *rand.Rand, s string) string { return wrap(lines(s, 2, `\u200b`)) }},
		{"bidi override", func(_ *rand.Rand, s string) string { return wrap("\u202e" + reversed(s) + "\u202c") }},
		{"several marks each", func(r *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return string(b) + choose(r, "\u0301", "\u0327\u0308", "\u20dd", "\u0489") }, ""))
		}},
		{"tag characters only", func(_ *rand.Rand, s string) string {
			return each(s, func(b byte) string { return string(rune(b) + 0xE0000) }, "")
		}},
		{"variation selectors", func(_ *rand.Rand, s string) string {
			return "😀" + each(s, func(b byte) string { return string(rune(0xE0100 + int(b) - 16)) }, "")
		}},
		{"Greek and Cyrillic letters", func(_ *rand.Rand, s string) string {
			return wrap(strings.NewReplacer("a", "а", "A", "Α", "B", "Β", "E", "Е", "H", "Н", "K", "Κ", "M", "М", "N", "Ν", "O", "О", "P", "Р", "T", "Τ", "X", "Χ", "Y", "Υ", "Z", "Ζ", "o", "ο", "c", "с", "e", "е", "p", "р", "x", "х", "y", "у", "i", "і", "j", "ј", "s", "ѕ", "v", "ν", "u", "υ").Replace(s))
		}},
		{"other dashes", func(_ *rand.Rand, s string) string {
			return wrap(strings.NewReplacer("-", "‑", "_", "＿", ".", "․").Replace(s))
		}},
		{"accents", func(_ *rand.Rand, s string) string {
			return wrap(strings.NewReplacer("a", "á", "e", "é", "o", "ö", "u", "ü", "i", "í", "c", "ç", "n", "ñ", "A", "Å", "E", "È", "O", "Ô").Replace(s))
		}},
		{"Braille", func(_ *rand.Rand, s string) string {
			return each(s, func(b byte) string { return string(rune(0x2800 + int(b))) }, "")
		}},
		{"words turned about", func(_ *rand.Rand, s string) string {
			parts := pieces(s, 8)
			slices.Reverse(parts)
			return `{"last_first":[` + js(parts[0]) + "," + strings.Join(quoteAll(parts[1:]), ",") + "]}"
		}},
	}
}

const prose40 = "the words around it are quite ordinary"

func quoteAll(in []string) (out []string) {
	for _, s := range in {
		out = append(out, js(s))
	}
	return out
}
