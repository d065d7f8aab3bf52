package corpus

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand"
	"slices"
	"strings"
)

func spell(s, form, sep string) string {
	return each(s, func(b byte) string { return fmt.Sprintf(form, b) }, sep)
}

func lines(s string, n int, sep string) string { return strings.Join(pieces(s, n), sep) }

func crockford(s string) string {
	return base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(-1).EncodeToString([]byte(s))
}

func inBase(s, abc string) string {
	n, m, out := new(big.Int).SetBytes([]byte(s)), new(big.Int), []byte{}
	for n.Sign() > 0 {
		n.DivMod(n, big.NewInt(int64(len(abc))), m)
		out = append(out, abc[m.Int64()])
	}
	slices.Reverse(out)
	return string(out)
}

func z85(s string) string {
	const abc = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
	for len(s)%4 != 0 {
		s += "\n"
	}
	var out []byte
	for ; len(s) > 0; s = s[4:] {
		n := uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
		var five [5]byte
		for i := 4; i >= 0; i-- {
			five[i] = abc[n%85]
			n /= 85
		}
		out = append(out, five[:]...)
	}
	return string(out)
}

func base91(s string) string {
	const abc = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,./:;<=>?@[]^_` + "`" + `{|}~"`
	var acc, bits uint
	var out []byte
	for _, b := range []byte(s) {
		acc, bits = acc|uint(b)<<bits, bits+8
		if bits > 13 {
			v := acc & 8191
			if v > 88 {
				acc, bits = acc>>13, bits-13
			} else {
				v = acc & 16383
				acc, bits = acc>>14, bits-14
			}
			out = append(out, abc[v%91], abc[v/91])
		}
	}
	if bits > 0 {
		out = append(out, abc[acc%91])
		if bits > 7 || acc > 90 {
			out = append(out, abc[acc/91])
		}
	}
	return string(out)
}

// xxd is what `xxd` prints.
func xxd(s string) string {
	var b strings.Builder
	for i, line := range pieces(s, 16) {
		fmt.Fprintf(&b, "%08x: %-39s  %s\n", i*16, lines(hex.EncodeToString([]byte(line)), 4, " "), line)
	}
	return b.String()
}

// od is what `od` prints with -A o and one of -t o1, -t x1, -t u1, -t c, or -t x2.
func od(s, kind string) string {
	var b strings.Builder
	for i, line := range pieces(s, 16) {
		fmt.Fprintf(&b, "%07o", i*16)
		switch kind {
		case "x2":
			for j := 0; j+1 < len(line); j += 2 {
				fmt.Fprintf(&b, " %02x%02x", line[j+1], line[j])
			}
			if len(line)%2 == 1 {
				fmt.Fprintf(&b, " 00%02x", line[len(line)-1])
			}
		case "c":
			b.WriteString(spell(line, "   %c", ""))
		default:
			b.WriteString(spell(line, map[string]string{"o1": " %03o", "x1": " %02x", "u1": " %3d"}[kind], ""))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%07o\n", len(s))
	return b.String()
}

func choose[T any](r *rand.Rand, of ...T) T { return of[r.Intn(len(of))] }

// numbers are the dresses of bytes as numbers, and of the bases.
func numbers() []disguise {
	return []disguise{
		{"base64, lines of any length", func(r *rand.Rand, s string) string {
			return lines(b64("# "+prose(r, 40)+s+"\n# end"), choose(r, 10, 16, 20, 33, 48, 64, 76), choose(r, "\n", "\r\n", "\n    ", "\\\n"))
		}},
		{"base64, pieces between signs", func(r *rand.Rand, s string) string {
			return wrap(lines(b64(s), choose(r, 4, 5, 8, 10), choose(r, "|", ",", ";", " ", ".", ":", "~", ", ", "\t")))
		}},
		{"base64, padding amiss", func(r *rand.Rand, s string) string {
			return wrap(strings.TrimRight(b64(s), "=") + choose(r, "", "=", "==", "===", "%3D%3D", "&#61;"))
		}},
		{"base64 in a data URI", func(r *rand.Rand, s string) string {
			return `<img src="data:` + choose(r, "image/png", "text/plain;charset=utf-8", "application/octet-stream") + ";base64," + b64(s) + `">`
		}},
		{"base64 behind a name", func(r *rand.Rand, s string) string {
			return choose(r, "Authorization: Basic ", "data=", "payload:", "b64:", "--blob=", "atob('") + b64("user:"+s) + choose(r, "", "')", "&x=1")
		}},
		{"base64 three times", func(_ *rand.Rand, s string) string { return wrap(b64(b64(b64(s)))) }},
		{"base64, escaped signs", func(_ *rand.Rand, s string) string {
			return wrap(strings.NewReplacer("+", `\u002b`, "/", `\/`, "=", `\u003d`).Replace(b64(s + "???>>>~~~")))
		}},
		{"base64 reversed by pieces", func(_ *rand.Rand, s string) string { return wrap(b64(reversed(b64(s)))) }},
		{"base32hex", func(r *rand.Rand, s string) string {
			e := base32.HexEncoding
			if r.Intn(2) == 0 {
				return wrap(strings.ToLower(e.WithPadding(-1).EncodeToString([]byte(s))))
			}
			return wrap(e.EncodeToString([]byte(s)))
		}},
		{"base32, Crockford's", func(_ *rand.Rand, s string) string { return wrap(crockford(s)) }},
		{"base32 in groups", func(r *rand.Rand, s string) string {
			return wrap(lines(base32.StdEncoding.EncodeToString([]byte(s)), choose(r, 4, 5, 8), choose(r, " ", "-", "\\n")))
		}},
		{"z85", func(r *rand.Rand, s string) string { return choose(r, "", "x = ", `"`) + z85(s) }},
		{"base91", func(_ *rand.Rand, s string) string { return base91(s) }},
		{"base36", func(_ *rand.Rand, s string) string { return wrap(inBase(s, "0123456789abcdefghijklmnopqrstuvwxyz")) }},
		{"base62", func(r *rand.Rand, s string) string {
			return wrap(inBase(s, choose(r, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")))
		}},
		{"one large number", func(_ *rand.Rand, s string) string { return `{"n":` + inBase(s, "0123456789") + `}` }},
		{"hex, in groups", func(r *rand.Rand, s string) string {
			return wrap(lines(hex.EncodeToString([]byte(s)), choose(r, 2, 4, 8, 16), choose(r, " ", "-", ".", "_", "|", ", ", "\\n", "")))
		}},
		{"hex behind 0x", func(r *rand.Rand, s string) string {
			return wrap(choose(r, "0x", `\\x`, "x'", "#", "h:", "0X") + choose(r, hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))))
		}},
		{"hex, mixed case", func(r *rand.Rand, s string) string {
			b := []byte(hex.EncodeToString([]byte(s)))
			for i := range b {
				if b[i] >= 'a' && r.Intn(2) == 0 {
					b[i] -= 32
				}
			}
			return wrap(string(b))
		}},
		{"hex in lines", func(r *rand.Rand, s string) string {
			return lines(hex.EncodeToString([]byte(s)), choose(r, 16, 32, 20), "\n")
		}},
		{"xxd", func(r *rand.Rand, s string) string { return xxd(choose(r, "", "abc", "key = ") + s + "\n") }},
		{"xxd -p", func(_ *rand.Rand, s string) string {
			return lines(hex.EncodeToString([]byte("key="+s)), 60, "\n") + "\n"
		}},
		{"od", func(r *rand.Rand, s string) string {
			return od(choose(r, "", "k=", "key: ")+s, choose(r, "o1", "x1", "u1", "x2", "c"))
		}},
		{"hexdump in JSON", func(_ *rand.Rand, s string) string { return `{"dump":` + js(hex.Dump([]byte(s))) + `}` }},
		{"char codes in code", func(r *rand.Rand, s string) string {
			return choose(r,
				"String.fromCharCode("+spell(s, "%d", ",")+")",
				"String.fromCharCode("+spell(s, "0x%x", ", ")+")",
				spell(s, "chr(%d)", "+"),
				spell(s, "chr(%d)", " . "),
				spell(s, "Chr(%d)", " & "),
				spell(s, "CHR(%d)", "||"),
				"bytes(["+spell(s, "%d", ", ")+"])",
				"new byte[] {"+spell(s, "(byte)0x%02X", ", ")+"}",
				"[]byte{"+spell(s, "%q", ", ")+"}",
				"char k[] = {"+spell(s, "'%c'", ",")+",0};",
				"pack('C*', "+spell(s, "%d", ", ")+")",
				"&["+spell(s, "%du8", ", ")+"]",
				"''.join(map(chr, ["+spell(s, "%d", ", ")+"]))")
		}},
		{"numbers apart by signs", func(r *rand.Rand, s string) string {
			return wrap(spell(s, choose(r, "%d", "%03d", "%o", "0o%o", "0%o", "0x%x", "%02x", "%08b", "0b%b", "%07b"), choose(r, " ", ",", ", ", ";", "|", "-", "/", ":", "\\n", "_")))
		}},
		{"numbers, each in its line", func(r *rand.Rand, s string) string { return spell(s, choose(r, "%d", "%o", "%x", "%08b"), "\n") }},
		{"numbers in an object", func(r *rand.Rand, s string) string {
			var out []string
			for i := range len(s) {
				out = append(out, fmt.Sprintf(choose(r, `"%d":%d`, `"%d": %d`), i, s[i]))
			}
			return `{"type":"Buffer","data":{` + strings.Join(out, ",") + "}}"
		}},
		{"numbers in strings", func(r *rand.Rand, s string) string {
			return "[" + spell(s, choose(r, `"%d"`, `"0x%x"`, `'%d'`, `"%02x"`), ", ") + "]"
		}},
		{"code points", func(r *rand.Rand, s string) string {
			return wrap(spell(s, choose(r, "U+%04X", "u%04x", "\\\\u{%x}", "0x%04X"), choose(r, " ", ",", "")))
		}},
		{"base64 of hex", func(_ *rand.Rand, s string) string { return wrap(b64(hex.EncodeToString([]byte(s)))) }},
		{"hex of base64", func(_ *rand.Rand, s string) string { return wrap(hex.EncodeToString([]byte(b64(s)))) }},
		{"base32 of base64", func(_ *rand.Rand, s string) string { return wrap(base32.StdEncoding.EncodeToString([]byte(b64(s)))) }},
		{"base85 of gzip", func(_ *rand.Rand, s string) string { return wrapQuoted(base85(gzipped(s))) }},
		{"base64url of JSON", func(_ *rand.Rand, s string) string {
			return "t=" + base64.RawURLEncoding.EncodeToString([]byte(wrap(s))) + "&v=1"
		}},
	}
}

func wrapQuoted(body string) string { return `{"note":` + js(body) + `,"n":1}` }
