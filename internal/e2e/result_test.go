package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

type headlessResult struct {
	Identity string  `json:"identity"`
	Provider string  `json:"provider"`
	Label    string  `json:"label"`
	ExitCode int     `json:"exit_code"`
	Duration float64 `json:"duration_seconds"`
	Kept     bool    `json:"kept"`
	Output   string  `json:"output"`
	Refused  []struct {
		Host, Layer string
		Count       int
	} `json:"refused"`
	Error string `json:"error"`
}

// TestAHeadlessRunTellsItsResult looks at a run that fails and at one that leaves nothing.
func TestAHeadlessRunTellsItsResult(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.bottle("", claude.Host)
	for code, kept := range map[string]bool{"7": true, "0": false} {
		w.agent("echo said by the agent; for i in 1 2; do curl -s -m 10 -o /dev/null http://denied.example.org/; done; exit " + code + "\n")
		r := w.headless("x", "--json", "--label", "nightly", "--color", "red")
		var got headlessResult
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%v\n%s\n%s", err, r.out, r.err)
		}
		if got.ExitCode != r.code || (r.code == 7) != kept || got.Kept != kept || got.Output != "said by the agent\n" || got.Duration <= 0 || got.Provider != "claude" || got.Error != "" {
			t.Errorf("exit %d: %+v", r.code, got)
		}
		if !strings.HasPrefix(got.Identity, "work-") || !strings.HasPrefix(got.Label, "nightly") {
			t.Errorf("%+v", got)
		}
		refused := 0
		for _, one := range got.Refused {
			if one.Host != "denied.example.org" {
				t.Errorf("refused: %+v", one)
			}
			refused += one.Count
		}
		if refused != 2 {
			t.Errorf("%d refusals: %+v", refused, got.Refused)
		}
	}
	if r := w.run("start", "work", "--json"); r.code != 125 || !strings.Contains(r.err, "--json needs --headless") {
		t.Errorf("%+v", r)
	}
}

func TestLabelsAreToldApart(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.bottle("", claude.Host)
	w.agent("exit 3\n")
	for _, want := range []string{"nightly", "nightly-2", "nightly-3"} {
		r := w.headless("x", "--json", "--label", "nightly")
		var got headlessResult
		if err := json.Unmarshal([]byte(r.out), &got); err != nil || got.Label != want {
			t.Errorf("%v: %q, want %q", err, got.Label, want)
		}
	}
	for _, args := range [][]string{{"--label", "a\x1b[2J"}, {"--label", strings.Repeat("x", 65)}, {"--color", "reddish"}} {
		if r := w.headless("x", args...); r.code != 125 {
			t.Errorf("%q: %+v", args, r)
		}
	}
}
