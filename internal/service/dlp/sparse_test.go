package dlp

import (
	"math/rand"
	"slices"
	"testing"
)

// TestSparseFindsWhatGramsFind holds that looking at every other place loses nothing, whatever the pattern,
// where it stands and where the text is cut.
func TestSparseFindsWhatGramsFind(t *testing.T) {
	patterns := []string{"ey", "://", "$6$", "a3-", "cvv", "host=", "data source=", `"auth"`, "machine", "Zq9_xY", "the an", "pscale_pw_"}
	var all grams
	var few sparse
	for i, p := range patterns {
		all.add(p, i)
		few.add(p, i)
	}
	fold, r := foldTable(), rand.New(rand.NewSource(5))
	for round := range 20_000 {
		text := make([]byte, 3+r.Intn(60))
		for i := range text {
			text[i] = "etahosm:/$3=-_\"q 6"[r.Intn(18)]
		}
		for range r.Intn(3) {
			copy(text[r.Intn(len(text)):], patterns[r.Intn(len(patterns))])
		}
		lo := r.Intn(len(text))
		hi := lo + r.Intn(len(text)-lo+1)
		type place struct{ at, what int }
		hits := func(find func([]byte, int, int, *[256]uint8, func(int, any))) (out []place) {
			find(text, lo, hi, fold, func(at int, what any) { out = append(out, place{at, what.(int)}) })
			slices.SortFunc(out, func(a, b place) int { return (a.at-b.at)*100 + a.what - b.what })
			return out
		}
		if got, want := hits(few.find), hits(all.find); !slices.Equal(got, want) {
			t.Fatalf("round %d, %q[%d:%d]: %v, want %v", round, text, lo, hi, got, want)
		}
	}
}
