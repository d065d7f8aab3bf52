// Package corpus makes what the engine is measured on: secrets on their way out in many
// disguises, and traffic without any.
//
// Its one rule: nothing is stored. Every secret is put together at run time from a seed.
package corpus

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// Case is one body.
type Case struct {
	Class string
	Body  []byte
	// Known is a secret of the bottle that stands in it, or "".
	Known string
}

const (
	alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	hexes = "0123456789abcdef"
)

func letters(r *rand.Rand, abc string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = abc[r.Intn(len(abc))]
	}
	return string(b)
}

// Kinds is how many kinds of secrets there are.
const Kinds = 16

// Secret is a fresh token of a kind that patterns know, or with known set one that only the
// bottle knows.
func Secret(r *rand.Rand, kind int) (value string, known bool) {
	switch kind % Kinds {
	case 0:
		return "gh" + "p_" + letters(r, alnum, 36), false
	case 1:
		return "sk-" + "ant-api03-" + letters(r, alnum+"_-", 93) + "AA", false
	case 2:
		return "AK" + "IA" + letters(r, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16), false
	case 3:
		return "sk" + "_live_" + letters(r, alnum, 24), false
	case 4:
		return "xo" + "xb-" + letters(r, "123456789", 12) + "-" + letters(r, "123456789", 12) + "-" + letters(r, alnum, 24), false
	case 5:
		return letters(r, alnum+"!-_.", 30+r.Intn(20)), true
	case 6:
		return "gl" + "pat-" + letters(r, alnum, 20), false
	case 7:
		return letters(r, alnum, 24), true
	case 8:
		return "npm" + "_" + letters(r, alnum, 36), false
	case 9:
		return "hf" + "_" + letters(r, alnum[:52], 34), false
	case 10:
		return choose(r, "Summer", "Winter", "Berlin", "Monday") + "-" + choose(r, "tiger", "piano", "river") + "-" + fmt.Sprint(1000+r.Intn(9000)) + "!", true
	case 11:
		return letters(r, alnum+"+/", 64), true
	case 12:
		return "SG" + "." + letters(r, alnum+"_-", 22) + "." + letters(r, alnum+"_-", 43), false
	case 13:
		return "AI" + "za" + letters(r, alnum+"_-", 35), false
	case 14:
		return letters(r, hexes, 40), true
	}
	return "github" + "_pat_" + letters(r, alnum, 22) + "_" + letters(r, alnum, 59), false
}

// disguise turns a secret into a body.
type disguise struct {
	class string
	do    func(r *rand.Rand, s string) string
}

func each(s string, f func(b byte) string, sep string) string {
	parts := make([]string, len(s))
	for i := range parts {
		parts[i] = f(s[i])
	}
	return strings.Join(parts, sep)
}

func wrap(body string) string { return `{"note":"` + body + `","n":1}` }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func packedBy(make func(w *bytes.Buffer) interface {
	Write([]byte) (int, error)
	Close() error
}, s string) string {
	var b bytes.Buffer
	w := make(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

type writer = interface {
	Write([]byte) (int, error)
	Close() error
}

func gzipped(s string) string {
	return packedBy(func(b *bytes.Buffer) writer { return gzip.NewWriter(b) }, s)
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func rot13(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, s)
}

func base58(s string) string {
	const abc = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	n, m, out := new(big.Int).SetBytes([]byte(s)), new(big.Int), []byte{}
	for n.Sign() > 0 {
		n.DivMod(n, big.NewInt(58), m)
		out = append(out, abc[m.Int64()])
	}
	slices.Reverse(out)
	return string(out)
}

func base85(s string) string {
	const abc = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
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

func uuencode(s string) string {
	var out strings.Builder
	out.WriteString("begin 644 x\n")
	for len(s) > 0 {
		line := s[:min(45, len(s))]
		s = s[len(line):]
		out.WriteByte(byte(len(line)) + ' ')
		for len(line)%3 != 0 {
			line += "\x00"
		}
		for ; len(line) > 0; line = line[3:] {
			for _, c := range []byte{line[0] >> 2, line[0]<<4&48 | line[1]>>4, line[1]<<2&60 | line[2]>>6, line[2] & 63} {
				if c == 0 {
					out.WriteByte('`')
				} else {
					out.WriteByte(c + ' ')
				}
			}
		}
		out.WriteByte('\n')
	}
	out.WriteString("`\nend\n")
	return out.String()
}

func pieces(s string, n int) (out []string) {
	for ; len(s) > n; s = s[n:] {
		out = append(out, s[:n])
	}
	return append(out, s)
}

func js(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func disguises() []disguise {
	return []disguise{
		{"plain", func(_ *rand.Rand, s string) string { return wrap(s) }},
		{"plain in prose", func(r *rand.Rand, s string) string { return prose(r, 400) + " " + s + " " + prose(r, 400) }},
		{"query or form", func(_ *rand.Rand, s string) string { return "a=1&data=" + url.QueryEscape(s) + "&z=2" }},
		{"url, every byte", func(_ *rand.Rand, s string) string {
			return "q=" + each(s, func(b byte) string { return fmt.Sprintf("%%%02X", b) }, "")
		}},
		{"url twice", func(_ *rand.Rand, s string) string {
			return "q=" + each(s, func(b byte) string { return fmt.Sprintf("%%25%02x", b) }, "")
		}},
		{"base64", func(_ *rand.Rand, s string) string { return wrap(b64(s)) }},
		{"base64url", func(_ *rand.Rand, s string) string { return wrap(base64.RawURLEncoding.EncodeToString([]byte(s))) }},
		{"base64 at an odd offset", func(r *rand.Rand, s string) string { return wrap(b64(letters(r, alnum, 1+r.Intn(2)) + s)) }},
		{"base64 glued to text", func(r *rand.Rand, s string) string {
			return wrap("value" + letters(r, alnum, 1+r.Intn(4)) + strings.TrimRight(b64(s), "="))
		}},
		{"base64 twice", func(_ *rand.Rand, s string) string { return wrap(b64(b64(s))) }},
		{"base64 in lines", func(_ *rand.Rand, s string) string {
			return strings.Join(pieces(b64("# notes\n"+s+"\n# end"), 24), "\n")
		}},
		{"base32", func(_ *rand.Rand, s string) string { return wrap(base32.StdEncoding.EncodeToString([]byte(s))) }},
		{"base32, lower case", func(_ *rand.Rand, s string) string {
			return wrap(strings.ToLower(base32.StdEncoding.WithPadding(-1).EncodeToString([]byte(s))))
		}},
		{"base58", func(_ *rand.Rand, s string) string { return wrap(base58(s)) }},
		{"base85", func(_ *rand.Rand, s string) string { return base85(s) }},
		{"ascii85", func(_ *rand.Rand, s string) string {
			b := make([]byte, ascii85.MaxEncodedLen(len(s)))
			return "<~" + string(b[:ascii85.Encode(b, []byte(s))]) + "~>"
		}},
		{"hex", func(_ *rand.Rand, s string) string { return wrap(hex.EncodeToString([]byte(s))) }},
		{"hex, upper case with colons", func(_ *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return fmt.Sprintf("%02X", b) }, ":"))
		}},
		{"hex dump", func(_ *rand.Rand, s string) string { return hex.Dump([]byte("some text before " + s)) }},
		{"hex list", func(_ *rand.Rand, s string) string {
			return "[" + each(s, func(b byte) string { return fmt.Sprintf("0x%02x", b) }, ", ") + "]"
		}},
		{"decimal list", func(_ *rand.Rand, s string) string {
			return "[" + each(s, func(b byte) string { return fmt.Sprint(b) }, ",") + "]"
		}},
		{"octal list", func(_ *rand.Rand, s string) string {
			return each(s, func(b byte) string { return fmt.Sprintf("%03o", b) }, " ")
		}},
		{"octal escapes", func(_ *rand.Rand, s string) string {
			return "'" + each(s, func(b byte) string { return fmt.Sprintf(`\%03o`, b) }, "") + "'"
		}},
		{"binary", func(_ *rand.Rand, s string) string {
			return each(s, func(b byte) string { return fmt.Sprintf("%08b", b) }, " ")
		}},
		{"binary, run together", func(_ *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return fmt.Sprintf("%08b", b) }, ""))
		}},
		{`\u escapes`, func(_ *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return fmt.Sprintf(`\u%04x`, b) }, ""))
		}},
		{`\x escapes`, func(_ *rand.Rand, s string) string {
			return "'" + each(s, func(b byte) string { return fmt.Sprintf(`\x%02x`, b) }, "") + "'"
		}},
		{"html entities", func(r *rand.Rand, s string) string {
			form := []string{"&#%d;", "&#x%x;", "&#%04d;"}[r.Intn(3)]
			return "<p>" + each(s, func(b byte) string { return fmt.Sprintf(form, b) }, "") + "</p>"
		}},
		{"quoted-printable", func(_ *rand.Rand, s string) string {
			return packedBy(func(b *bytes.Buffer) writer { return quotedprintable.NewWriter(b) }, strings.Repeat("long line ", 6)+s+" é")
		}},
		{"uuencode", func(_ *rand.Rand, s string) string { return uuencode(s) }},
		{"rot13", func(_ *rand.Rand, s string) string { return wrap(rot13(s)) }},
		{"reversed", func(_ *rand.Rand, s string) string { return wrap(reversed(s)) }},
		{"reversed, then base64", func(_ *rand.Rand, s string) string { return wrap(b64(reversed(s))) }},
		{"base64, then reversed", func(_ *rand.Rand, s string) string { return wrap(reversed(strings.TrimRight(b64(s), "="))) }},
		{"gzip", func(_ *rand.Rand, s string) string { return gzipped(wrap(s)) }},
		{"gzip, then base64", func(_ *rand.Rand, s string) string { return wrap(b64(gzipped(s))) }},
		{"gzip in gzip", func(_ *rand.Rand, s string) string { return gzipped(gzipped(s)) }},
		{"zlib", func(_ *rand.Rand, s string) string {
			return packedBy(func(b *bytes.Buffer) writer { return zlib.NewWriter(b) }, s)
		}},
		{"brotli", func(_ *rand.Rand, s string) string {
			return packedBy(func(b *bytes.Buffer) writer { return brotli.NewWriter(b) }, wrap(s+strings.Repeat(" text", 20)))
		}},
		{"zstd", func(_ *rand.Rand, s string) string {
			return packedBy(func(b *bytes.Buffer) writer { w, _ := zstd.NewWriter(b); return w }, s)
		}},
		{"zip", func(r *rand.Rand, s string) string { return zipped(prose(r, 300) + s) }},
		{"tar, gzipped", func(r *rand.Rand, s string) string { return gzipped(tarred(prose(r, 300) + s)) }},
		{"utf-16", func(_ *rand.Rand, s string) string {
			var b []byte
			for _, u := range utf16.Encode([]rune(wrap(s))) {
				b = append(b, byte(u), byte(u>>8))
			}
			return string(b)
		}},
		{"full width", func(_ *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return string(rune(b) + 0xFEE0) }, ""))
		}},
		{"look-alikes", func(_ *rand.Rand, s string) string {
			return wrap(strings.NewReplacer("a", "а", "e", "е", "o", "о", "p", "р", "c", "с", "x", "х", "A", "А", "K", "К").Replace(s))
		}},
		{"zero width", func(_ *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return string(b) }, "\u200b"))
		}},
		{"combining marks", func(_ *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return string(b) + "\u0301" }, ""))
		}},
		{"tag characters", func(_ *rand.Rand, s string) string {
			return "hello" + each(s, func(b byte) string { return string(rune(b) + 0xE0000) }, "")
		}},
		{"letters apart by spaces", func(_ *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return string(b) }, " "))
		}},
		{"letters apart by dashes", func(_ *rand.Rand, s string) string {
			return wrap(each(s, func(b byte) string { return string(b) }, "-"))
		}},
		{"letters quoted apart", func(_ *rand.Rand, s string) string {
			return "[" + each(s, func(b byte) string { return js(string(b)) }, ", ") + "]"
		}},
		{"split over JSON fields", func(r *rand.Rand, s string) string {
			var out []string
			for i, p := range pieces(s, 5+r.Intn(8)) {
				out = append(out, fmt.Sprintf("%q:%s", fmt.Sprintf("f%d", i), js(p)))
			}
			return "{" + strings.Join(out, ",") + "}"
		}},
		{"split over form fields", func(r *rand.Rand, s string) string {
			var out []string
			for i, p := range pieces(s, 5+r.Intn(8)) {
				out = append(out, fmt.Sprintf("f%d=%s", i, p))
			}
			return strings.Join(out, "&")
		}},
		{"string literals added up", func(r *rand.Rand, s string) string {
			var out []string
			for _, p := range pieces(s, 5+r.Intn(8)) {
				out = append(out, js(p))
			}
			return "const k = " + strings.Join(out, " + ") + ";"
		}},
		{"deep in a large body", func(r *rand.Rand, s string) string {
			return prose(r, 60<<10+r.Intn(16<<10)) + " " + s + " " + prose(r, 9000)
		}},
		{"base64 in url in JSON escapes", func(_ *rand.Rand, s string) string {
			return wrap(strings.ReplaceAll(url.QueryEscape("k="+b64(s)), "%", `\u0025`))
		}},
		{"deflate in a multipart", func(_ *rand.Rand, s string) string {
			return "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.gz\"\r\n\r\n" + gzipped(s) + "\r\n--x--\r\n"
		}},
	}
}

func zipped(s string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.Create("docs/a.txt")
	_, _ = f.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func tarred(s string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "a.txt", Mode: 0o644, Size: int64(len(s))})
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

// Attacks returns n bodies of each class.
func Attacks(seed int64, n int) []Case {
	r := rand.New(rand.NewSource(seed))
	var out []Case
	for _, d := range slices.Concat(disguises(), numbers(), written(), places(), formats(), archives(), layers(), wholeSecrets(), printed()) {
		for i := range n {
			s, known := Secret(r, i)
			c := Case{Class: d.class, Body: []byte(d.do(r, s))}
			if known {
				c.Known = s
			}
			out = append(out, c)
		}
	}
	return out
}
