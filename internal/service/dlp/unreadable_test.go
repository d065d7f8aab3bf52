package dlp_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

func drawn(r *rand.Rand, n int) []byte {
	out := make([]byte, n)
	r.Read(out)
	return out
}

// entry is a zip archive's head and one file's, with its method and flags.
func entry(method, flags uint16, data []byte) []byte {
	out := append([]byte("PK\x03\x04\x14\x00"), 0, 0, 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint16(out[6:], flags)
	binary.LittleEndian.PutUint16(out[8:], method)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(data))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(data)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(data)))
	out = append(out, 5, 0, 0, 0)
	return append(append(out, "a.txt"...), data...)
}

func TestWhatCannotBeReadIsFound(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	sealed := drawn(r, 4000)
	seven := "7z\xbc\xaf\x27\x1c\x00\x04" + string(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(sealed[:20])))
	for name, body := range map[string][]byte{
		"7z":                       append([]byte(seven), sealed...),
		"rar":                      append([]byte("Rar!\x1a\x07\x01\x00crc4\x0c\x01"), sealed...),
		"zip, encrypted":           entry(8, 1, sealed),
		"zip, AES":                 entry(99, 1, sealed),
		"zip, unknown method":      entry(98, 0, sealed),
		"openssl":                  append([]byte("Salted__"), sealed...),
		"age":                      append([]byte("age-encryption.org/v1\n-> X25519 "), sealed...),
		"OpenPGP, with a password": append([]byte("\x8c\x0d\x04\x09\x03\x02"), sealed...),
		"OpenPGP, for a key":       append([]byte("\x85\x02\x0c\x03ABCDEFGH\x01\x10\x00"), sealed...),
		"OpenPGP, in armor":        []byte("-----BEGIN PGP MESSAGE-----\n\n" + base64.StdEncoding.EncodeToString(append([]byte("\x8c\x0d\x04\x09\x03\x02"), sealed...)) + "\n"),
		"cabinet":                  append([]byte("MSCF\x00\x00\x00\x00"), sealed...),
		"xz, a broken block":       append([]byte("\xfd7zXZ\x00\x00\x04abcd\x02\x00\x21\x01\x16\x00\x00\x00crc4"), sealed...),
		"xz, an unknown filter":    append([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x03\x01\x16\x00\x00\x00crc4"), sealed...),
	} {
		for place, text := range map[string][]byte{
			"as it is": body,
			"base64":   []byte(`{"data":"` + base64.StdEncoding.EncodeToString(body[:600]) + `"}`),
			"gzip":     []byte(gz(string(body))),
		} {
			found := scanWhole(dlp.New(nil), text)
			if !slices.ContainsFunc(found, func(f dlp.Finding) bool { return f.Rule == dlp.RuleUnreadable && f.Fingerprint != "" }) {
				t.Errorf("%s, %s: %v", name, place, found)
			}
		}
		within := append(append(drawn(r, 5000), body...), drawn(r, 100)...)
		found := scanWhole(dlp.New(nil), within)
		strong := strings.HasPrefix(name, "7z") || strings.HasPrefix(name, "rar") || strings.HasPrefix(name, "zip") || name == "OpenPGP, in armor" || name == "xz, an unknown filter"
		if (len(found) > 0) != strong {
			t.Errorf("%s, within other bytes: %v", name, found)
		}
	}
	use := all()
	use.Allow = func(f dlp.Finding) bool { return f.Rule == dlp.RuleUnreadable }
	s := dlp.New(nil).Stream("body", use)
	s.Write(entry(8, 1, sealed))
	if found := s.Close(); len(found) > 0 {
		t.Errorf("it was allowed and found: %v", found)
	}
}

func scanWhole(e *dlp.Engine, text []byte) []dlp.Finding {
	s := e.Stream("body", all())
	s.Write(text)
	return s.Close()
}

// TestLZMA packs a secret in each of its formats, at the end of more than a window.
func TestLZMA(t *testing.T) {
	secret := "gh" + "p_" + "x4Lq8ZkW2mVt7RbN1cYd9HsJ5fGaPe3oTuKi"
	text := []byte(filler(300_000) + "\ntoken " + secret + "\n" + filler(2000))
	packed := map[string][]byte{}
	var b bytes.Buffer
	x, err := xz.WriterConfig{BlockSize: 100_000, CheckSum: xz.SHA256}.NewWriter(&b)
	write(t, x, err, text)
	packed["xz"] = bytes.Clone(b.Bytes())
	wrong := bytes.Clone(packed["xz"])
	for i := range 4 {
		wrong[8+i] ^= 0xff // the header's checksum
	}
	packed["xz, a wrong checksum"] = wrong
	b.Reset()
	l, err := lzma.NewWriter(&b)
	write(t, l, err, text)
	packed["lzma"] = bytes.Clone(b.Bytes())
	packed["lzip"] = append([]byte("LZIP\x01\x17"), b.Bytes()[13:]...)
	packed["zip"] = entry(14, 2, append([]byte{9, 20, 5, 0, 0x5d, 0, 0, 0x80, 0}, b.Bytes()[13:]...))
	for name, p := range packed {
		for _, chunk := range []int{7, 1000, len(p)} {
			s := dlp.New(nil).Stream("body", all())
			for q := p; len(q) > 0; q = q[min(chunk, len(q)):] {
				s.Write(q[:min(chunk, len(q))])
			}
			found := s.Close()
			if !slices.ContainsFunc(found, func(f dlp.Finding) bool { return strings.HasPrefix(f.Rule, "github-") }) {
				t.Errorf("%s in pieces of %d: %v", name, chunk, found)
			}
		}
	}
}

func write(t *testing.T, w interface {
	Write([]byte) (int, error)
	Close() error
}, err error, text []byte,
) {
	t.Helper()
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOtherPackers reads a token out of what lz4(1), compress(1) and gpg --store write.
func TestOtherPackers(t *testing.T) {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	_, _ = w.Write([]byte("\xcb\x40b\x05n.txt\x00\x00\x00\x00" + "gl" + "pat-" + "x4Lq8ZkW2mVt7RbN1cYd and more of it"))
	_ = w.Close()
	for name, p := range map[string][]byte{
		"pgp":                 append([]byte{0xa3, 1}, b.Bytes()...),
		"lz4":                 lz4("gl"+"pat-"+"x4Lq8ZkW2mVt7RbN1cYd", false),
		"lz4, the old format": lz4("gl"+"pat-"+"x4Lq8ZkW2mVt7RbN1cYd", true),
		"compress":            lzw("the token of the day is " + "gl" + "pat-" + "x4Lq8ZkW2mVt7RbN1cYd and the day of the token is today"),
	} {
		found := scanWhole(dlp.New(nil), p)
		if !slices.ContainsFunc(found, func(f dlp.Finding) bool { return strings.HasPrefix(f.Rule, "gitlab-") && len(f.Steps) > 0 }) {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// lz4 writes a row of dots that refers back to itself, and a text behind it.
func lz4(text string, old bool) []byte {
	block := []byte("\x40....\x01\x00") // four letters, and four that stand one letter back
	block = append(block, 0xf0, byte(len(text)-15))
	block = append(block, text...)
	out := []byte("\x04\x22\x4d\x18\x60\x40\x82")
	if old {
		out = []byte("\x02\x21\x4c\x18")
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(block)))
	out = append(out, block...)
	if !old {
		out = append(out, 0, 0, 0, 0)
	}
	return out
}

// lzw writes what compress(1) writes of a text that needs no code of more than nine bits.
func lzw(text string) []byte {
	table, next := map[string]int{}, 257
	for b := range 256 {
		table[string([]byte{byte(b)})] = b
	}
	var codes []int
	have := ""
	for i := range len(text) {
		more := have + text[i:i+1]
		if _, ok := table[more]; ok {
			have = more
			continue
		}
		codes = append(codes, table[have])
		table[more], next = next, next+1
		have = text[i : i+1]
	}
	codes = append(codes, table[have])
	out, acc, bits := []byte{0x1f, 0x9d, 0x90}, 0, 0
	for _, c := range codes {
		acc, bits = acc|c<<bits, bits+9
		for ; bits >= 8; bits -= 8 {
			out, acc = append(out, byte(acc)), acc>>8
		}
	}
	return append(out, byte(acc))
}
