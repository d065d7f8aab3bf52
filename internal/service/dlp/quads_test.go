package dlp

import (
	"encoding/base64"
	"math/rand"
	"slices"
	"testing"
)

// TestAlignedLosesNothing holds that an alignment that is left out never held what is worth a look.
func TestAlignedLosesNothing(t *testing.T) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/-_"
	r := rand.New(rand.NewSource(9))
	for range 30_000 {
		text := make([]byte, 16+r.Intn(80))
		for i := range text {
			text[i] = letters[r.Intn(len(letters))]
		}
		if inner := make([]byte, 6+r.Intn(20)); r.Intn(2) == 0 {
			for i := range inner {
				inner[i] = letters[r.Intn(62)]
			}
			copy(text[r.Intn(len(text)):], base64.RawURLEncoding.EncodeToString(inner))
		}
		for _, turned := range []turn{straight, reversed, rotated} {
			sent := turned.apply(text) // reversal and rot13 undo themselves
			at := aligned(sent, turned)
			for skip := range 4 {
				raw := make([]byte, 100)
				part := slices.Clone(text[skip:])
				for i, b := range part {
					switch b {
					case '-':
						part[i] = '+'
					case '_':
						part[i] = '/'
					}
				}
				n, _ := base64.StdEncoding.Decode(raw, part[:len(part)&^3])
				if token := longestToken(raw[:n]); token >= 8 && at>>skip&1 == 0 {
					t.Fatalf("%q, turned by %d: %q at %d is left out", text, turned, raw[:n], skip)
				}
			}
		}
	}
}

func longestToken(p []byte) int {
	run, longest := 0, 0
	for _, b := range p {
		if run++; !tokenByte[b] {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}
