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

// TestRuneMasksAreTheSameOnAnyMachine does so for what tells the letters beyond ASCII.
func TestRuneMasksAreTheSameOnAnyMachine(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	for range 4000 {
		var p [block]byte
		_, _ = r.Read(p[:])
		first, rest := runeMasks(&p)
		wantFirst, wantRest := runeMasksPlain(&p)
		if first != wantFirst || rest != wantRest {
			t.Fatalf("%x: got %x and %x, want %x and %x", p, first, rest, wantFirst, wantRest)
		}
	}
}

// TestNoMarkIsPassedOver holds the table that is looked at before magic to what magic takes.
func TestNoMarkIsPassedOver(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	taken := map[string]int{}
	heads := []string{"\x1f\x8b\x08\x00", "\x1f\x9d\x90", "\x28\xb5\x2f\xfd", "PK\x03\x04", "BZh91A", "\xfd7zXZ\x00", "LZIP\x01", "\x04\x22\x4d\x18\x40", "\x02\x21\x4c\x18", "7z\xbc\xaf\x27\x1c", "Rar!\x1a\x07"}
	for round := range 400_000 {
		p := make([]byte, 40)
		_, _ = r.Read(p[round%3*13:]) // zeros too
		if round%2 == 0 {
			copy(p, heads[round/2%len(heads)])
		} else {
			p[0] = []byte{0x58, 0x68, 0x78}[round/2%3]
		}
		name := magic(p)
		if name == "" {
			continue
		}
		taken[name]++
		if magicFirst[p[0]]&magicSecond[p[1]] == 0 {
			t.Fatalf("%s, %x, is passed over", name, p)
		}
	}
	for _, name := range []string{"gzip", "compress", "zstd", "zip", "bzip2", "lzip", "lz4", "zlib"} {
		if taken[name] == 0 {
			t.Errorf("no %s among %v", name, taken)
		}
	}
}
