package dlp

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"math/rand"
	"strconv"
	"strings"
	"testing"
)

// members are as many short zlib streams, of which each holds much.
func members(t *testing.T, most int, each func(i int) string) []byte {
	t.Helper()
	var out bytes.Buffer
	for i := 0; out.Len() < most; i++ {
		w := zlib.NewWriter(&out)
		if _, err := w.Write([]byte(each(i))); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestManySmallBombsAreRefusedTogether(t *testing.T) {
	zeros := strings.Repeat("0", 100_000)
	plain := members(t, 900_000, func(int) string { return zeros })
	ended := members(t, 90_000, func(i int) string { return strings.Repeat(zeros, 5) + strconv.Itoa(i) })
	paired := members(t, 30_000, func(i int) string { return strings.Repeat("ab", 250_000) + strconv.Itoa(i) })
	for name, body := range map[string][]byte{
		"of one byte": plain, "of one byte and a number": ended, "of two bytes": paired,
		"packed once more": members(t, 1, func(int) string { return string(ended) }),
		"in base64":        []byte(base64.StdEncoding.EncodeToString(ended)),
	} {
		s := New(nil).Stream("body", Detectors{Patterns: true})
		found := s.Write(body)
		sent := int64(len(body))
		if len(found) == 0 {
			found = s.Close()
		}
		if !strings.Contains(Names(found), RuleWork) {
			t.Errorf("%s: %d bytes give %v", name, sent, found)
		}
		if most := unpackBase + unpackRatio*sent; most > 48<<20 {
			t.Errorf("%s: %d bytes of %d may be unpacked", name, most, sent)
		}
		if over := s.shared.left; over < -unpackBase {
			t.Errorf("%s: %d bytes more than may be were unpacked", name, -over)
		}
	}
	s := New(nil).Stream("body", Detectors{Patterns: true})
	s.Write(plain[:20_000])
	if found := s.Close(); len(found) > 0 {
		t.Errorf("what is not out of proportion gives %v", found)
	}
}

// TestAPictureOfAScreenIsNoBomb sends one as agents do, and what is packed in it as if it were something else.
func TestAPictureOfAScreenIsNoBomb(t *testing.T) {
	screen := image.NewNRGBA(image.Rect(0, 0, 2000, 1500))
	for y := range 1500 {
		for x := range 2000 {
			screen.Set(x, y, color.NRGBA{R: uint8(x / 40 * 5), G: uint8(y / 30 * 7), B: 0xf0, A: 0xff})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, screen); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 12<<20/100 {
		t.Fatalf("it packs to %d bytes and shows nothing", out.Len())
	}
	other := bytes.Replace(out.Bytes(), []byte("IDAT"), []byte("other"), 1)
	for name, body := range map[string][]byte{"": out.Bytes(), "in base64": []byte(`{"source":"` + base64.StdEncoding.EncodeToString(out.Bytes()) + `"}`)} {
		s := New(nil).Stream("body", Detectors{Patterns: true})
		s.Write(body)
		if found := s.Close(); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
	s := New(nil).Stream("body", Detectors{Patterns: true})
	s.Write(other)
	if found := s.Close(); !strings.Contains(Names(found), RuleWork) {
		t.Errorf("the same that is no picture: %v", found)
	}
}

func TestASecretBesideARunOfOneByteIsFound(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	value := []byte("ghp" + "_")
	for range 36 {
		value = append(value, alnum[r.Intn(len(alnum))])
	}
	run := strings.Repeat("\x00", 3*stride)
	inner := members(t, 1, func(int) string { return "token " + string(value) + "\n" })
	for name, text := range map[string]string{
		"between": run + " " + string(value) + " " + run, "before": string(value) + run, "behind": run + string(value),
		"packed between": run + string(inner) + run,
	} {
		body := members(t, 1, func(int) string { return text })
		sents := map[string][]byte{"": body, " in base64": []byte(base64.StdEncoding.EncodeToString(body))}
		if strings.HasPrefix(name, "packed") {
			delete(sents, " in base64") // a part of it that is no text is not looked into
		}
		for form, sent := range sents {
			s := New(nil).Stream("body", Detectors{Patterns: true})
			s.Write(sent)
			if found := s.Close(); len(found) == 0 || found[0].Rule == RuleWork {
				t.Errorf("%s%s: %v", name, form, found)
			}
		}
	}
}

func TestOffsetsInAShortenedTextAreRestored(t *testing.T) {
	text := []byte("a" + strings.Repeat("\x00", 20_000) + "b" + strings.Repeat("x", 12_000) + "c")
	short, cuts := shortened(bytes.Clone(text))
	if len(short) > 4*plainKept || len(cuts) != 2 {
		t.Fatalf("%d bytes of %d are left, with %v", len(short), len(text), cuts)
	}
	for _, b := range []byte("abc") {
		at := restored([]int{bytes.IndexByte(short, b)}, cuts)
		if at[0] != bytes.IndexByte(text, b) {
			t.Errorf("%c is at %d", b, at[0])
		}
	}
}
