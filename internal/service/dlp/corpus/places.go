package corpus

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand"
	"net/url"
	"slices"
	"strings"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

func split(r *rand.Rand, s string) []string { return pieces(s, 4+r.Intn(8)) }

// numbered puts each piece into a form with its number.
func numbered(parts []string, sep string, form func(i int, p string) string) string {
	var out []string
	for i, p := range parts {
		out = append(out, form(i, p))
	}
	return strings.Join(out, sep)
}

// places are values that are split over what holds them.
func places() []disguise {
	return []disguise{
		{"an array of pieces", func(r *rand.Rand, s string) string {
			return `{"parts":[` + strings.Join(quoteAll(split(r, s)), choose(r, ",", ", ", ",\n    ")) + `]}`
		}},
		{"pieces in an array of objects", func(r *rand.Rand, s string) string {
			return "[" + numbered(split(r, s), ",", func(i int, p string) string { return fmt.Sprintf(`{"i":%d,"v":%q}`, i, p) }) + "]"
		}},
		{"pieces in indented JSON", func(r *rand.Rand, s string) string {
			m := map[string]string{}
			for i, p := range split(r, s) {
				m[fmt.Sprintf("part_%02d", i)] = p
			}
			return indented(m)
		}},
		{"letters in JSON fields", func(_ *rand.Rand, s string) string {
			return "{" + numbered(pieces(s, 1), ",", func(i int, p string) string { return fmt.Sprintf(`"c%d":%q`, i, p) }) + "}"
		}},
		{"JSON in JSON", func(r *rand.Rand, s string) string {
			inner := `{"parts":[` + strings.Join(quoteAll(split(r, s)), ",") + `]}`
			return `{"body":` + js(`{"inner":`+js(inner)+`}`) + `}`
		}},
		{"JSON in JSON in a form", func(r *rand.Rand, s string) string {
			return "payload=" + url.QueryEscape(`{"text":`+js(`{"k":`+js(choose(r, s, b64(s)))+`}`)+`}`) + "&token_type=none"
		}},
		{"query parameters", func(r *rand.Rand, s string) string {
			return "/collect?" + numbered(split(r, s), choose(r, "&", ";"), func(i int, p string) string { return fmt.Sprintf("p%d=%s", i, url.QueryEscape(p)) })
		}},
		{"path segments", func(r *rand.Rand, s string) string { return "/img/" + strings.Join(split(r, s), "/") + "/x.png" }},
		{"header lines", func(r *rand.Rand, s string) string {
			return numbered(split(r, s), "\r\n", func(i int, p string) string { return fmt.Sprintf("X-Part-%d: %s", i, p) })
		}},
		{"a multipart form", func(r *rand.Rand, s string) string {
			return numbered(split(r, s), "", func(i int, p string) string {
				return fmt.Sprintf("--b0undary\r\nContent-Disposition: form-data; name=\"f%d\"\r\n\r\n%s\r\n", i, p)
			}) + "--b0undary--\r\n"
		}},
		{"XML elements", func(r *rand.Rand, s string) string {
			return "<r>" + numbered(split(r, s), choose(r, "", "\n  "), func(i int, p string) string { return fmt.Sprintf("<p n=\"%d\">%s</p>", i, p) }) + "</r>"
		}},
		{"XML attributes", func(r *rand.Rand, s string) string {
			return "<r>" + numbered(split(r, s), "", func(_ int, p string) string { return fmt.Sprintf("<p v=%q/>", p) }) + "</r>"
		}},
		{"CSV columns", func(r *rand.Rand, s string) string {
			return "a,b,c,d,e\n" + strings.Join(split(r, s), choose(r, ",", ";", "\t", `","`)) + "\n"
		}},
		{"CSV rows", func(r *rand.Rand, s string) string {
			return "id,v\n" + numbered(split(r, s), "\n", func(i int, p string) string { return fmt.Sprintf("%d,%s", i+1, p) })
		}},
		{"YAML", func(r *rand.Rand, s string) string {
			return choose(r,
				"parts:\n"+numbered(split(r, s), "\n", func(_ int, p string) string { return "  - " + p }),
				numbered(split(r, s), "\n", func(i int, p string) string { return fmt.Sprintf("part%d: %s", i, p) }),
				"key: >-\n"+numbered(split(r, s), "\n", func(_ int, p string) string { return "  " + p }),
				"key: \""+strings.Join(split(r, s), "\\\n  ")+"\"")
		}},
		{"comments", func(r *rand.Rand, s string) string {
			mark := choose(r, "// ", "# ", "-- ", "; ", " * ", "REM ")
			return numbered(split(r, s), "\n", func(_ int, p string) string { return mark + p })
		}},
		{"log lines", func(r *rand.Rand, s string) string {
			return numbered(split(r, s), "\n", func(i int, p string) string { return fmt.Sprintf("2026-06-01T12:00:%02dZ INFO chunk=%s", i, p) })
		}},
		{"strings added up", func(r *rand.Rand, s string) string {
			p := split(r, s)
			var single, tick []string
			for _, x := range p {
				single, tick = append(single, "'"+x+"'"), append(tick, "${'"+x+"'}")
			}
			return choose(r,
				"k = "+strings.Join(single, " + "), "k = "+strings.Join(single, " . "), "SELECT "+strings.Join(single, " || "),
				"SELECT CONCAT("+strings.Join(single, ", ")+")", "k = ("+strings.Join(single, "\n     ")+")", "k=`"+strings.Join(tick, "")+"`",
				"k = "+strings.Join(quoteAll(p), " .. "), "k = "+strings.Join(quoteAll(p), " & _\n"), "k = "+strings.Join(quoteAll(p), " <> "), "s := "+strings.Join(quoteAll(p), " +\n\t"),
				"k = ''.join(["+strings.Join(single, ", ")+"])", "["+strings.Join(single, ",")+"].join('')")
		}},
		{"variables added up", func(r *rand.Rand, s string) string {
			p := split(r, s)
			names := numbered(p, " + ", func(i int, _ string) string { return fmt.Sprintf("p%d", i) })
			return numbered(p, "\n", func(i int, x string) string { return fmt.Sprintf("p%d = %q", i, x) }) + "\nk = " + names + "\n"
		}},
		{"shell variables", func(r *rand.Rand, s string) string {
			return numbered(split(r, s), choose(r, "\n", "; "), func(i int, x string) string { return fmt.Sprintf("P%d=%s", i, x) }) + "\necho $P0$P1$P2\n"
		}},
		{"repeated assignment", func(r *rand.Rand, s string) string {
			return "k = ''\n" + numbered(split(r, s), "\n", func(_ int, x string) string { return fmt.Sprintf("k += '%s'", x) })
		}},
		{"pieces backwards", func(r *rand.Rand, s string) string {
			p := split(r, s)
			slices.Reverse(p)
			return "[" + strings.Join(quoteAll(p), ",") + "]"
		}},
		{"glued on both sides", func(r *rand.Rand, s string) string {
			return "qq" + letters(r, "ghijk", 6) + "." + s + "." + letters(r, "ghijk", 9)
		}},
		{"in a long line", func(r *rand.Rand, s string) string { return strings.ReplaceAll(prose(r, 30<<10), "\n", " ") + " " + s }},
		{"in HTML attributes", func(_ *rand.Rand, s string) string {
			return `<a href="https://x.example/?q=` + url.QueryEscape(s) + `" data-k='` + b64(s) + `'>x</a>`
		}},
		{"in an SVG comment", func(_ *rand.Rand, s string) string {
			return "<svg xmlns='http://www.w3.org/2000/svg'><!-- " + spell(s, "&#%d;", "") + " --></svg>"
		}},
		{"a JSON key", func(_ *rand.Rand, s string) string { return "{" + js(s) + ":true}" }},
		{"a token's claims", func(_ *rand.Rand, s string) string {
			e := base64.RawURLEncoding
			return "Bearer " + e.EncodeToString([]byte(`{"typ":"x"}`)) + "." + e.EncodeToString([]byte(wrap(s))) + "." + e.EncodeToString([]byte("signature signature signature"))
		}},
		{"an e-mail", func(_ *rand.Rand, s string) string {
			return "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines(b64(prose40+"\n"+s+"\n"), 76, "\r\n") + "\r\n"
		}},
		{"a notebook", func(_ *rand.Rand, s string) string {
			return indented(map[string]any{"cells": []any{map[string]any{"cell_type": "code", "source": []string{"import os\n", "key = (\n", "'" + s[:len(s)/2] + "'\n", "'" + s[len(s)/2:] + "')\n"}}}})
		}},
		{"terminal colours between", func(r *rand.Rand, s string) string { return strings.Join(split(r, s), "\x1b[31m") + "\x1b[0m" }},
		{"a diff", func(_ *rand.Rand, s string) string { return "@@ -1,2 +1,2 @@\n-old\n+" + s + "\n" }},
	}
}

func deflated(s string, level int) string {
	return packedBy(func(b *bytes.Buffer) writer { w, _ := flate.NewWriter(b, level); return w }, s)
}

func chunk(kind, data string) string {
	sum := crc32.ChecksumIEEE([]byte(kind + data))
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(data)))) + kind + data + string(binary.BigEndian.AppendUint32(nil, sum))
}

// records puts each piece behind a head that depends on its length.
func records(parts []string, head func(n int) string) string {
	return numbered(parts, "", func(_ int, p string) string { return head(len(p)) + p })
}

func zipOf(method uint16, names ...string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i+1 < len(names); i += 2 {
		f, _ := w.CreateHeader(&zip.FileHeader{Name: names[i], Method: method, Comment: "none"})
		_, _ = f.Write([]byte(names[i+1]))
	}
	_ = w.Close()
	return b.String()
}

// formats are what packs or lays out bytes.
func formats() []disguise {
	return []disguise{
		{"raw deflate", func(r *rand.Rand, s string) string { return deflated(wrap(s+" "+prose(r, 200)), choose(r, 1, 6, 9)) }},
		{"raw deflate, then base64", func(r *rand.Rand, s string) string { return wrap(b64(deflated(s+prose(r, 60), choose(r, 6, 9)))) }},
		{"zlib, any level", func(r *rand.Rand, s string) string {
			return wrap(b64(packedBy(func(b *bytes.Buffer) writer {
				w, _ := zlib.NewWriterLevel(b, choose(r, 0, 1, 6, 9))
				return w
			}, s)))
		}},
		{"gzip with a name", func(_ *rand.Rand, s string) string {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			w.Name, w.Comment = s, "notes"
			_, _ = w.Write([]byte(prose40))
			_ = w.Close()
			return b.String()
		}},
		{"base64 of gzip of base64", func(_ *rand.Rand, s string) string { return wrap(b64(gzipped(b64(s)))) }},
		{"hex of gzip", func(_ *rand.Rand, s string) string { return wrap(hex.EncodeToString([]byte(gzipped(s)))) }},
		{"zlib of zstd", func(_ *rand.Rand, s string) string {
			return packedBy(zlibWriter, packedBy(func(b *bytes.Buffer) writer { w, _ := zstd.NewWriter(b); return w }, s))
		}},
		{"snappy frames", func(_ *rand.Rand, s string) string {
			return packedBy(func(b *bytes.Buffer) writer { return snappy.NewBufferedWriter(b) }, s+strings.Repeat(" text", 20)+s)
		}},
		{"snappy block", func(r *rand.Rand, s string) string { return string(snappy.Encode(nil, []byte(prose(r, 60)+s))) }},
		{"s2", func(_ *rand.Rand, s string) string {
			return packedBy(func(b *bytes.Buffer) writer { return s2.NewWriter(b) }, s+strings.Repeat(" text", 20)+s)
		}},
		{"zip, stored", func(_ *rand.Rand, s string) string { return zipOf(zip.Store, "a.txt", s) }},
		{"zip, a file's name", func(_ *rand.Rand, s string) string { return zipOf(zip.Deflate, s, prose40) }},
		{"zip in zip", func(r *rand.Rand, s string) string {
			return zipOf(zip.Deflate, "a.zip", zipOf(zip.Deflate, "b.txt", prose(r, 100)+s), "c", "d")
		}},
		{"zip, then base64", func(_ *rand.Rand, s string) string { return wrap(b64(zipOf(zip.Deflate, "x", prose40+prose40+s))) }},
		{"office file", func(r *rand.Rand, s string) string {
			return zipOf(zip.Deflate, "[Content_Types].xml", "<Types/>", "word/document.xml", "<w:p>"+numbered(split(r, s), "", func(_ int, p string) string { return "<w:r><w:t>" + p + "</w:t></w:r>" })+"</w:p>")
		}},
		{"tar", func(r *rand.Rand, s string) string { return tarred(prose(r, 50) + choose(r, s, b64(s))) }},
		{"tar, a file's name", func(_ *rand.Rand, s string) string {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			_ = w.WriteHeader(&tar.Header{Name: s, Mode: 0o644, Size: 1})
			_, _ = w.Write([]byte("x"))
			_ = w.Close()
			return b.String()
		}},
		{"PNG text", func(r *rand.Rand, s string) string {
			p := picture(r)
			at := strings.Index(p, "IDAT") - 4
			return p[:at] + choose(r, chunk("tEXt", "Comment\x00"+s), chunk("zTXt", "Comment\x00\x00"+packedBy(zlibWriter, s)), chunk("iTXt", "k\x00\x01\x00\x00\x00"+packedBy(zlibWriter, s))) + p[at:]
		}},
		{"PNG pixels", func(_ *rand.Rand, s string) string {
			return "\x89PNG\r\n\x1a\n" + chunk("IHDR", "\x00\x00\x00\x10\x00\x00\x00\x01\x08\x00\x00\x00\x00") + chunk("IDAT", packedBy(zlibWriter, "\x00"+s)) + chunk("IEND", "")
		}},
		{"behind a picture", func(r *rand.Rand, s string) string { return picture(r) + choose(r, s, b64(s), gzipped(s)) }},
		{"PDF stream", func(r *rand.Rand, s string) string {
			text := choose(r, "("+s+") Tj", "["+numbered(split(r, s), "", func(_ int, p string) string { return "(" + p + ")-12" })+"] TJ", "<"+hex.EncodeToString([]byte(s))+"> Tj")
			return "%PDF-1.7\n4 0 obj\n<< /Filter /FlateDecode >>\nstream\n" + packedBy(zlibWriter, "BT /F1 12 Tf "+text+" ET") + "\nendstream\nendobj\n"
		}},
		{"uuencode without a frame", func(_ *rand.Rand, s string) string {
			all := strings.Split(uuencode(prose40+s), "\n")
			return strings.Join(all[1:len(all)-2], "\n")
		}},
		{"yEnc", func(_ *rand.Rand, s string) string {
			return "=ybegin line=128 size=40 name=x\r\n" + each(s, func(b byte) string {
				if b += 42; b == 0 || b == '\n' || b == '\r' || b == '=' {
					return "=" + string([]byte{b + 64})
				}
				return string([]byte{b})
			}, "") + "\r\n=yend size=40\r\n"
		}},
		{"protobuf", func(r *rand.Rand, s string) string {
			return "\x08\x96\x01" + records(choose(r, []string{s}, split(r, s)), func(n int) string { return string(binary.AppendUvarint([]byte{0x12}, uint64(n))) }) + "\x18\x01"
		}},
		{"msgpack", func(r *rand.Rand, s string) string {
			return "\x82\xa1k\x01\xa5parts" + "\xdc\x00\x09" + records(split(r, s), func(n int) string { return string([]byte{0xa0 | byte(n)}) })
		}},
		{"CBOR", func(r *rand.Rand, s string) string {
			return "\xa1\x65parts\x9f" + records(split(r, s), func(n int) string { return string([]byte{0x60 | byte(n)}) }) + "\xff"
		}},
		{"lengths before", func(r *rand.Rand, s string) string {
			return records(split(r, s), func(n int) string { return string([]byte{0, 0, 0, byte(n)}) })
		}},
		{"zeros behind", func(r *rand.Rand, s string) string { return strings.Join(split(r, s), "\x00") + "\x00" }},
		{"gRPC", func(_ *rand.Rand, s string) string {
			m := "\x0a" + string(binary.AppendUvarint(nil, uint64(len(s)))) + s
			return "\x00" + string(binary.BigEndian.AppendUint32(nil, uint32(len(m)))) + m
		}},
		{"bits of bytes", func(r *rand.Rand, s string) string {
			return "\x00\x01" + string(noise(r, 3000)) + s + string(noise(r, 300))
		}},
		{"a git object", func(_ *rand.Rand, s string) string {
			return packedBy(zlibWriter, fmt.Sprintf("blob %d\x00%s", len(s), s))
		}},
		{"a Buffer in JSON", func(_ *rand.Rand, s string) string {
			var n []int
			for _, b := range []byte(s) {
				n = append(n, int(b))
			}
			b, _ := json.MarshalIndent(map[string]any{"type": "Buffer", "data": n}, "", "  ")
			return string(b)
		}},
	}
}
