package dlp_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"math/rand"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/corpus"
)

func fresh(kind int) (string, *dlp.Engine) {
	value, known := corpus.Secret(rand.New(rand.NewSource(int64(kind))), kind)
	if known {
		return value, dlp.New([]dlp.Known{{Name: "OWN", Value: secret.New(value)}})
	}
	return value, dlp.New(nil)
}

func filler(n int) string { return strings.Repeat("plain words, nothing else. ", n/27+1)[:n] }

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func TestASecretIsFoundAtEverySplitOfABody(t *testing.T) {
	for kind := range corpus.Kinds {
		value, e := fresh(kind)
		body := []byte(`{"a":"` + value + `","b":"` + base64.StdEncoding.EncodeToString([]byte(value)) + `"}`)
		for at := range body {
			s := e.Stream("body", all())
			s.Write(body[:at])
			s.Write(body[at:])
			if found := s.Close(); len(found) < 2 {
				t.Fatalf("kind %d, split at %d: %v", kind, at, found)
			}
		}
	}
}

func TestASecretIsFoundAcrossEveryWindowBoundary(t *testing.T) {
	const stride, overlap = 112 << 10, 16 << 10
	for kind := range corpus.Kinds {
		value, e := fresh(kind)
		text := " " + base64.StdEncoding.EncodeToString([]byte(value)) + " "
		for _, edge := range []int{stride, stride + overlap, 2 * stride} {
			for at := edge - len(text); at <= edge; at += 3 {
				s := e.Stream("body", all())
				s.Write([]byte(filler(at) + text + filler(stride)))
				if len(s.Close()) == 0 {
					t.Fatalf("kind %d at %d is not found", kind, at)
				}
			}
		}
	}
}

var errRefused = errors.New("refused")

func TestNothingAfterTheLastVerifiedByteIsForwarded(t *testing.T) {
	for kind := range corpus.Kinds {
		value, e := fresh(kind)
		for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte("x" + value)), gz(filler(100) + value)} {
			before := filler(150 << 10)
			b := dlp.NewBody(iotest.HalfReader(strings.NewReader(before+form+filler(200<<10))), e.Stream("body", all()), false, func([]dlp.Finding) error { return errRefused })
			sent, err := io.ReadAll(b)
			if !errors.Is(err, errRefused) {
				t.Fatalf("kind %d ended with %v", kind, err)
			}
			if len(sent) > len(before) {
				t.Fatalf("kind %d: %d bytes of the secret left", kind, len(sent)-len(before))
			}
		}
	}
}

func TestACleanBodyIsUnchanged(t *testing.T) {
	e := dlp.New(nil)
	for _, c := range corpus.Benign(3, 1) {
		body := bytes.Repeat(append(c.Body, '\n'), 1+200_000/len(c.Body))
		for _, chunk := range []func(io.Reader) io.Reader{iotest.HalfReader, iotest.DataErrReader} {
			out, err := io.ReadAll(dlp.NewBody(chunk(bytes.NewReader(body)), e.Stream("body", all()), false, func(f []dlp.Finding) error { return errors.New(f[0].String()) }))
			if err != nil || !bytes.Equal(out, body) {
				t.Errorf("%s: %d of %d bytes, %v", c.Class, len(out), len(body), err)
			}
		}
	}
}

func TestRedactionKeepsTheForm(t *testing.T) {
	for _, c := range corpus.Attacks(5, 4) {
		if c.Known != "" || !bytes.HasPrefix(c.Body, []byte(`{"note"`)) {
			continue
		}
		e := dlp.New(nil)
		var redacted int
		b := dlp.NewBody(bytes.NewReader(c.Body), e.Stream("body", all()), true, func([]dlp.Finding) error { return errRefused })
		b.Redacted = func(dlp.Finding) { redacted++ }
		out, err := io.ReadAll(b)
		if errors.Is(err, errRefused) {
			continue // it may refuse, but not
		}
		if len(out) != len(c.Body) || redacted == 0 || !bytes.HasPrefix(out, []byte(`{"note":"`)) || !bytes.HasSuffix(out, []byte(`","n":1}`)) {
			t.Errorf("%s: %q became %q", c.Class, c.Body, out)
		}
		if found := e.Scan(out, "body", all()); len(found) > 0 {
			t.Errorf("%s: still %v", c.Class, found)
		}
	}
}

func TestABombIsRefused(t *testing.T) {
	bomb := gz(strings.Repeat("\x00", 200<<20))
	s := dlp.New(nil).Stream("body", all())
	s.Write([]byte(bomb))
	if found := s.Close(); len(found) != 1 || found[0].Rule != dlp.RuleWork {
		t.Errorf("a bomb of %d bytes gives %v", len(bomb), found)
	}
}

func TestTooManyLayersAreRefused(t *testing.T) {
	value, e := fresh(0)
	for range 14 {
		value = base64.StdEncoding.EncodeToString([]byte(value))
	}
	found := e.Scan([]byte(value), "body", all())
	if len(found) == 0 {
		t.Error("fourteen layers of base64 pass")
	}
	packed, _ := fresh(0)
	for range 20 {
		packed = gz(packed)
	}
	s := e.Stream("body", all())
	s.Write([]byte(packed))
	if len(s.Close()) == 0 {
		t.Error("twenty layers of gzip pass")
	}
}

func TestABrokenDeclaredEncodingIsRefused(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate", "compress"} {
		s := dlp.New(nil).Stream("body", all(), encoding)
		s.Write([]byte("this is not compressed at all, whatever the header says"))
		if len(s.Close()) == 0 {
			t.Errorf("%s: what cannot be unpacked passes", encoding)
		}
	}
}

func frame(opcode byte, payload []byte, final bool) []byte {
	first := opcode
	if final {
		first |= 0x80
	}
	b := []byte{first, 0x80 | 126, 0, 0, 1, 2, 3, 4}
	binary.BigEndian.PutUint16(b[2:], uint16(len(payload)))
	for i, c := range payload {
		b = append(b, c^[]byte{1, 2, 3, 4}[i&3])
	}
	return b
}

func TestFramesLeaveWhenTheirMessageWasLookedAt(t *testing.T) {
	for kind := range corpus.Kinds {
		value, e := fresh(kind)
		for at := 1; at < len(value); at++ {
			clean := frame(1, []byte("hello"), true)
			for _, split := range [][]byte{
				append(frame(1, []byte(value[:at]), false), frame(0, []byte(value[at:]), true)...), // fragments
				append(frame(1, []byte(value[:at]), true), frame(1, []byte(value[at:]), true)...),  // messages
			} {
				out, err := io.ReadAll(e.NewFrames(bytes.NewReader(append(bytes.Clone(clean), split...)), all(), dlp.Options{Verdict: func([]dlp.Finding) error { return errRefused }}))
				if !errors.Is(err, errRefused) || !bytes.HasPrefix(out, clean) {
					t.Fatalf("kind %d split at %d: %d bytes, %v", kind, at, len(out), err)
				}
			}
		}
	}
}

func TestCallsLeaveWhenTheirMessageWasLookedAt(t *testing.T) {
	value, e := fresh(0)
	message := func(s string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(s))), s...)
	}
	in := append(message("clean"), message(value)...)
	out, err := io.ReadAll(e.NewCalls(bytes.NewReader(in), all(), dlp.Options{Verdict: func([]dlp.Finding) error { return errRefused }}))
	if !errors.Is(err, errRefused) || !bytes.Equal(out, message("clean")) {
		t.Errorf("%q, %v", out, err)
	}
}

// FuzzScan holds that nothing panics and that chunking never changes what is found.
func FuzzScan(f *testing.F) {
	for _, c := range corpus.Attacks(1, 1) {
		f.Add(c.Body, uint16(7))
	}
	for _, c := range corpus.Benign(1, 1) {
		f.Add(c.Body, uint16(1000))
	}
	e := dlp.New([]dlp.Known{{Name: "OWN", Value: secret.New("a-known-value-0815-xyz")}})
	f.Fuzz(func(t *testing.T, body []byte, chunk uint16) {
		whole := e.Stream("body", all())
		whole.Write(body)
		want := whole.Close()
		parts := e.Stream("body", all())
		for p := body; len(p) > 0; {
			n := min(len(p), int(chunk)+1)
			parts.Write(p[:n])
			p = p[n:]
		}
		if got := parts.Close(); len(got) != len(want) {
			t.Errorf("whole: %v, in parts: %v", want, got)
		}
	})
}
