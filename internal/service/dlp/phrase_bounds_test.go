package dlp

import (
	"math/rand"
	"testing"
)

// TestBoundsAreTheSameAnywhere compares what is read of a word eight bytes at once with what is read byte by
// byte: the same words, and none of nine letters.
func TestBoundsAreTheSameAnywhere(t *testing.T) {
	r := rand.New(rand.NewSource(6))
	words := 0
	for range 200_000 {
		p := make([]byte, 40)
		for i := range p {
			p[i] = `aznrtAZ@[{\ `[r.Intn(12)]
			if r.Intn(2) == 0 {
				p[i] = byte('a' + r.Intn(26))
			} else if r.Intn(30) == 0 {
				p[i] = byte(r.Intn(256))
			}
		}
		i := 10 + r.Intn(23)
		if !letter(p[i]) || escape(p, i) {
			continue
		}
		lo, hi := bounds(p, i)
		wantLo, wantHi := boundsPlain(p, i)
		if hi-lo <= maxWord || wantHi-wantLo <= maxWord {
			words++
			if lo != wantLo || hi != wantHi {
				t.Fatalf("%q at %d: got %d to %d, want %d to %d", p, i, lo, hi, wantLo, wantHi)
			}
		}
	}
	if words < 10_000 {
		t.Fatalf("only %d words", words)
	}
}
