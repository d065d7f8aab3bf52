package manifest_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bot-bottle/internal/manifest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestProblemsReadAsTheGoldenFiles validates every *.md of testdata/problems and compares
// problems and warnings with the *.txt beside it.
func TestProblemsReadAsTheGoldenFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	l := home(t, map[string]string{"base": "{}\n", "prod": "{}\n"})
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "testdata/problems/"), func(t *testing.T) {
			kind, err := manifest.KindOfFile(file)
			if err != nil {
				t.Fatal(err)
			}
			problems, warnings := l.CheckFile(kind, file)
			var b strings.Builder
			for _, p := range problems {
				b.WriteString(p.String() + "\n")
			}
			for _, w := range warnings {
				b.WriteString("warning: " + w.String() + "\n")
			}
			got := strings.ReplaceAll(b.String(), file, filepath.Base(file))
			golden := strings.TrimSuffix(file, ".md") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAskingWithoutAnybodyToAskIsAProblemOfTheWholeBottle(t *testing.T) {
	l := home(t, map[string]string{
		"quiet": "supervise: false\n",
		"asks":  "extends: quiet\negress:\n  on_deny: ask\n",
		"fine":  "extends: asks\nsupervise: true\n",
	})
	problems, _ := l.ValidateAll()
	if len(problems) != 1 || problems[0].Field != "egress.on_deny" || filepath.Base(problems[0].File) != "asks.md" {
		t.Errorf("problems %v", problems)
	}
}
