package dlp_test

import (
	"math/rand/v2"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// TestNoiseIsNotTakenForPackedNoise streams random bytes, in which compressed data seem to begin here
// and there. The beginnings are known to have been followed past the limit of layers.
func TestNoiseIsNotTakenForPackedNoise(t *testing.T) {
	noise := rand.NewChaCha8([32]byte{9})
	p := make([]byte, 1<<20)
	s := dlp.New(nil).Stream("file", dlp.Detectors{Patterns: true, Known: true})
	for range 60 {
		_, _ = noise.Read(p)
		s.Write(p)
	}
	if found := s.Close(); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}
