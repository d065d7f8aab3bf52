package dlp

import (
	"math/rand"
	"testing"
)

// TestClassifyIsTheSameOnAnyMachine compares what this machine's instructions say with what needs none.
func TestClassifyIsTheSameOnAnyMachine(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	var p [block]byte
	var table [256]uint8
	for round := range 4000 {
		_, _ = r.Read(p[:])
		if round%2 == 0 {
			table = kinds
		} else {
			_, _ = r.Read(table[:])
		}
		var got, want [8]uint64
		classify(&p, &table, &got)
		for i, b := range p {
			for bit := range want {
				want[bit] |= uint64(table[b]>>bit&1) << i
			}
		}
		if got != want {
			t.Fatalf("%x: got %x, want %x", p, got, want)
		}
		if classifyPlain(&p, &table, &got); got != want {
			t.Fatalf("plainly, %x: got %x, want %x", p, got, want)
		}
	}
}
