package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// FuzzParse holds that no file makes the decoder panic, that every problem is one printable line
// in its file, and that what loads can be enforced.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/problems/*/*.md")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, seed := range seeds {
		content, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte("---\n" + strings.Repeat("[", 5000) + "\n---\n"))
	f.Add([]byte("---\n" + strings.Repeat("- ", 5000) + "\n---\n"))
	f.Add([]byte("---\na: " + strings.Repeat("{a: ", 5000) + "\n---\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		lines := strings.Count(string(content), "\n") + strings.Count(string(content), "\r") + 2
		var of report
		l := decodeBottle(&of, "x", content, []string{"claude"})
		b := l.bottle()
		if len(of.problems) == 0 {
			var set policy.Set
			for _, route := range b.Egress.Routes {
				set.Routes = append(set.Routes, route.Route)
			}
			if _, err := policy.Compile(set); err != nil {
				t.Errorf("loads and does not compile: %v", err)
			}
			if _, err := json.Marshal(b); err != nil {
				t.Error(err)
			}
		}
		decodeAgent(&of, "x", content)
		for _, p := range of.problems {
			if p.Line < 1 || p.Line > lines || p.Column < 1 {
				t.Errorf("no place: %+v of %d lines", p, lines)
			}
			if strings.ContainsFunc(p.String(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("not printable: %q", p.String())
			}
		}
	})
}

// BenchmarkSelect is what a start pays: list the folders, read one agent and its bottle.
func BenchmarkSelect(b *testing.B) {
	for b.Loop() {
		l, err := Open(Options{Cwd: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Select("claude"); err != nil {
			b.Fatal(err)
		}
	}
}
