package dlp

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand"
	"testing"
)

// TestNoDeflatedHeadIsDropped has the reader of DEFLATE judge what is taken for none by its first bytes: not
// eight bytes come out of it. What a writer made is always taken.
func TestNoDeflatedHeadIsDropped(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	dropped := 0
	for range 30_000 {
		p := make([]byte, 200)
		_, _ = r.Read(p)
		if p[0]&6 == 0 || p[0]&6 == 6 || deflated(p) {
			continue
		}
		dropped++
		out, err := io.ReadAll(flate.NewReader(bytes.NewReader(p)))
		if err == nil || len(out) > 7 {
			t.Fatalf("%x was dropped and holds %q", p[:16], out)
		}
	}
	if dropped < 5_000 {
		t.Fatalf("only %d were dropped", dropped)
	}
	for range 1_000 {
		text := make([]byte, 1+r.Intn(60))
		for i := range text {
			text[i] = byte(r.Intn(1 << (1 + r.Intn(8))))
		}
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, r.Intn(12)-2)
		_, _ = w.Write(text)
		_ = w.Close()
		if !deflated(b.Bytes()) {
			t.Fatalf("%x of %q is not taken", b.Bytes(), text)
		}
	}
}
