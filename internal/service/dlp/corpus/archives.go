package corpus

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"strings"

	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// archives are what is packed in ways that few read, and what nobody can read.
func archives() []disguise {
	within := func(r *rand.Rand, s string) string { return prose(r, 1500) + "\n" + s + "\n" + prose(r, 400) }
	return []disguise{
		{"xz", func(r *rand.Rand, s string) string { return xzOf(within(r, s)) }},
		{"xz, then base64", func(_ *rand.Rand, s string) string { return base64.StdEncoding.EncodeToString([]byte(xzOf(s))) }},
		{"LZMA", func(r *rand.Rand, s string) string { return lzmaOf(within(r, s)) }},
		{"lzip", func(r *rand.Rand, s string) string { return "LZIP\x01\x17" + lzmaOf(within(r, s))[13:] }},
		{"zip, LZMA", func(r *rand.Rand, s string) string {
			return zipEntry(14, 2, "\x09\x14\x05\x00\x5d\x00\x00\x80\x00"+lzmaOf(within(r, s))[13:])
		}},
		{"compress", func(r *rand.Rand, s string) string { return lzwOf(prose(r, 60) + s) }},
		{"zip, encrypted", func(r *rand.Rand, s string) string { return zipEntry(8, 1, string(noise(r, 12+len(s)))) }},
		{"7z", func(r *rand.Rand, s string) string {
			rest := string(noise(r, 200+len(s)))
			return "7z\xbc\xaf\x27\x1c\x00\x04" + string(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(rest[:20])))) + rest
		}},
		{"OpenPGP message", func(r *rand.Rand, s string) string {
			return "-----BEGIN PGP MESSAGE-----\n\n" + base64.StdEncoding.EncodeToString(append([]byte("\x8c\x0d\x04\x09\x03\x02"), noise(r, 200+len(s))...)) + "\n-----END PGP MESSAGE-----\n"
		}},
		{"openssl enc", func(r *rand.Rand, s string) string { return "Salted__" + string(noise(r, 16+len(s)/16*16)) }},
		{"xor with a byte, large", func(r *rand.Rand, s string) string {
			return combine(prose(r, 9000)+s+prose(r, 9000), byte(1+r.Intn(31)))
		}},
		{"one number, large", func(r *rand.Rand, s string) string {
			return inBase(prose(r, 500)+s+prose(r, 500), "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
		}},
	}
}

// layers are one encoding on top of another that turns it.
func layers() []disguise {
	swap := func(s string) string {
		return strings.Map(func(c rune) rune {
			if c|0x20 >= 'a' && c|0x20 <= 'z' {
				return c ^ 0x20
			}
			return c
		}, s)
	}
	words := func(s string, width int) (out []string) {
		for len(s)%width != 0 {
			s += "\n"
		}
		for ; len(s) > 0; s = s[width:] {
			n := uint64(0)
			for i := range width {
				n |= uint64(s[i]) << (8 * i)
			}
			out = append(out, fmt.Sprint(n))
		}
		return out
	}
	return []disguise{
		{"base64, case swapped", func(_ *rand.Rand, s string) string { return swap(base64.StdEncoding.EncodeToString([]byte(s))) }},
		{"base64, padded piece by piece", func(_ *rand.Rand, s string) string {
			var out strings.Builder
			for _, p := range pieces(s, 10) {
				out.WriteString(base64.StdEncoding.EncodeToString([]byte(p)))
			}
			return out.String()
		}},
		{"hex, then rot13", func(_ *rand.Rand, s string) string { return rot13(spell(s, "%02x", " ")) }},
		{"percent, then rot13", func(_ *rand.Rand, s string) string { return rot13(spell(s, "%%%02X", "")) }},
		{"numbers, then reversed", func(_ *rand.Rand, s string) string { return reversed(spell(s, "%d", " ")) }},
		{"entities, then reversed", func(_ *rand.Rand, s string) string { return reversed(spell(s, "&#%d;", "")) }},
		{"base36, then reversed", func(_ *rand.Rand, s string) string {
			return reversed(inBase(s, "0123456789abcdefghijklmnopqrstuvwxyz"))
		}},
		{"numbers of three digits", func(_ *rand.Rand, s string) string { return spell(s, "%03d", "") }},
		{"numbers of four bytes", func(_ *rand.Rand, s string) string { return strings.Join(words(s, 4), ", ") }},
		{"numbers of eight bytes", func(_ *rand.Rand, s string) string { return strings.Join(words(s, 8), "\n") }},
		{"base45", func(_ *rand.Rand, s string) string { return base45(s) }},
		{"rows of a table", func(_ *rand.Rand, s string) string {
			var out strings.Builder
			out.WriteString("| n | part |\n|---|---|\n")
			for i, p := range pieces(s, 9) {
				fmt.Fprintf(&out, "| %d | %s |\n", i, p)
			}
			return out.String()
		}},
		{"a dump in a comment", func(_ *rand.Rand, s string) string {
			return "/* see 0000000 " + strings.ReplaceAll(odHex(s), "\n", "\n * ") + " */\n"
		}},
	}
}

// odHex is what od -An -tx1 prints behind an offset.
func odHex(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i += 16 {
		if i > 0 {
			fmt.Fprintf(&out, "%07o ", i)
		}
		out.WriteString(spell(s[i:min(i+16, len(s))], "%02x", " ") + "\n")
	}
	fmt.Fprintf(&out, "%07o", len(s))
	return out.String()
}

func base45(s string) string {
	const abc = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	var out []byte
	for ; len(s) > 0; s = s[min(2, len(s)):] {
		n, digits := int(s[0]), 2
		if len(s) > 1 {
			n, digits = n<<8|int(s[1]), 3
		}
		for range digits {
			out, n = append(out, abc[n%45]), n/45
		}
	}
	return string(out)
}

func combine(s string, key byte) string {
	out := []byte(s)
	for i := range out {
		out[i] ^= key
	}
	return string(out)
}

func xzOf(s string) string {
	return packedTo(s, func(b *bytes.Buffer) (io.WriteCloser, error) { return xz.NewWriter(b) })
}

func lzmaOf(s string) string {
	return packedTo(s, func(b *bytes.Buffer) (io.WriteCloser, error) { return lzma.NewWriter(b) })
}

func packedTo(s string, open func(*bytes.Buffer) (io.WriteCloser, error)) string {
	var b bytes.Buffer
	w, err := open(&b)
	if err == nil {
		_, err = w.Write([]byte(s))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return b.String()
}

// zipEntry is one file of a zip archive with its head.
func zipEntry(method, flags uint16, data string) string {
	out := append([]byte("PK\x03\x04\x14\x00"), byte(flags), 0, byte(method), 0, 0, 0, 0, 0)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE([]byte(data)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(data)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(data)))
	return string(append(out, 5, 0, 0, 0)) + "a.txt" + data
}

// lzwOf writes what compress(1) writes of a text so short that no code has more than nine bits.
func lzwOf(s string) string {
	s = s[max(0, len(s)-240):]
	table, next := map[string]int{}, 257
	for b := range 256 {
		table[string([]byte{byte(b)})] = b
	}
	out, acc, bits := []byte{0x1f, 0x9d, 0x90}, 0, 0
	put := func(code int) {
		acc, bits = acc|code<<bits, bits+9
		for ; bits >= 8; bits -= 8 {
			out, acc = append(out, byte(acc)), acc>>8
		}
	}
	have := ""
	for i := range len(s) {
		more := have + s[i:i+1]
		if _, ok := table[more]; ok {
			have = more
			continue
		}
		put(table[have])
		table[more], next = next, next+1
		have = s[i : i+1]
	}
	put(table[have])
	return string(append(out, byte(acc)))
}
