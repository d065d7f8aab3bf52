package corpus

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand"
	"strings"
)

// addressed is what prints so many bytes a line behind their address, with the text perhaps once more.
func addressed(s string, each int, address string, row func(line string) string, text bool) string {
	var b strings.Builder
	for i, line := range pieces(s, each) {
		fmt.Fprintf(&b, address, i*each)
		b.WriteString(row(line))
		if text {
			b.WriteString("  " + line)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// latin1 is a JSON string of which each letter is a byte, with all others than ASCII's escaped or none.
func latin1(s string, escape bool) string {
	runes := make([]rune, len(s))
	for i := range runes {
		runes[i] = rune(s[i])
	}
	out := js(string(runes))
	if !escape {
		return out
	}
	var b strings.Builder
	for _, r := range out {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func zlibbed(s string) string {
	return packedBy(func(b *bytes.Buffer) writer { return zlib.NewWriter(b) }, s)
}

// literal is what Python prints of bytes.
func literal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\'' || c == '\\':
			b.WriteString(`\` + string(rune(c)))
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return "b'" + b.String() + "'"
}

// printed are the dresses that programs print bytes in.
func printed() []disguise {
	env := func(s string) string { return "export A=1\nX=" + s + "\nfoo bar baz qux\n" }
	return []disguise{
		{"xxd -b", func(r *rand.Rand, s string) string {
			return addressed(s, choose(r, 4, 6), "%08x: ", func(line string) string { return fmt.Sprintf("%-53s", spell(line, "%08b", " ")) }, r.Intn(2) == 0)
		}},
		{"od -c without addresses", func(r *rand.Rand, s string) string {
			return choose(r, "   ", "", " ") + strings.Join(spaced(pieces(s, 16), "   "), choose(r, "\n   ", "\n")) + "\n"
		}},
		{"tcpdump -X", func(_ *rand.Rand, s string) string {
			return addressed("POST / HTTP/1.1\r\n"[:15]+s, 16, "\t0x%04x:  ", func(line string) string {
				return fmt.Sprintf("%-39s", lines(hex.EncodeToString([]byte(line)), 4, " "))
			}, true)
		}},
		{"a debugger's words", func(_ *rand.Rand, s string) string {
			return addressed(s+strings.Repeat("\x00", (16-len(s)%16)%16), 16, "0x7fffffffe%03x:", func(line string) string {
				var b strings.Builder
				for ; len(line) >= 4; line = line[4:] {
					fmt.Fprintf(&b, "\t0x%08x", binary.LittleEndian.Uint32([]byte(line)))
				}
				return b.String()
			}, false)
		}},
		{"a dump behind a record's head", func(r *rand.Rand, s string) string {
			return "2026-11-24T10:00:31Z INFO worker[41]: " + prose(r, 20) + " payload=" + od(s, choose(r, "c", "u1", "x1"))
		}},
		{"uuencode's lines behind words", func(r *rand.Rand, s string) string {
			return prose(r, 30) + " " + strings.SplitN(uuencode("the first words of it "+s), "\n", 2)[1]
		}},
		{"rot13, then reversed", func(_ *rand.Rand, s string) string { return wrap(reversed(rot13(s))) }},
		{"rot13, then reversed, then base64", func(_ *rand.Rand, s string) string { return wrap(b64(reversed(rot13(s)))) }},
		{"base85 in lines", func(r *rand.Rand, s string) string { return lines(base85(env(s)), choose(r, 40, 76), "\n") }},
		{"ascii85 in lines", func(r *rand.Rand, s string) string {
			b := make([]byte, ascii85.MaxEncodedLen(len(env(s))))
			return lines(string(b[:ascii85.Encode(b, []byte(env(s)))]), choose(r, 40, 76), "\n")
		}},
		{"zlib or gzip in a JSON string", func(r *rand.Rand, s string) string {
			return `{"v": ` + latin1(choose(r, zlibbed, gzipped)(s), r.Intn(3) > 0) + `}`
		}},
		{"zlib or gzip as Python's bytes", func(r *rand.Rand, s string) string { return literal(choose(r, zlibbed, gzipped)(s)) }},
		{"two JSON fields with text between", func(r *rand.Rand, s string) string {
			return `{"a": ` + js(s[:len(s)/2]) + `, "n": "` + prose(r, 30) + `", "b": ` + js(s[len(s)/2:]) + "}"
		}},
		{"a repeated field of Protocol Buffers", func(_ *rand.Rand, s string) string {
			var b strings.Builder
			for _, part := range pieces(s, 16) {
				b.WriteString("\x22" + string(rune(len(part))) + part)
			}
			return b.String()
		}},
	}
}

// spaced puts a sign between the letters of each.
func spaced(in []string, sep string) (out []string) {
	for _, s := range in {
		out = append(out, lines(s, 1, sep))
	}
	return out
}
