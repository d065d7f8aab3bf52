package inbox_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/operator/inbox"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func TestWhatAResumeCarriesIsNamed(t *testing.T) {
	dir := t.TempDir()
	home, err := store.Locate(func(name string) string { return map[string]string{"BOT_BOTTLE_HOME": dir}[name] })
	if err != nil {
		t.Fatal(err)
	}
	run := home.Run("dev-abc12")
	if none, err := inbox.Carried(run); err != nil || len(none) != 0 {
		t.Errorf("before anything was asked: %q, %v", none, err)
	}
	path := run.Paths().Proposals
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	d, err := desk.New(desk.Config{ID: run.ID}, desk.Deps{Journal: f})
	if err != nil {
		t.Fatal(err)
	}
	for host, verdict := range map[string]ask.Verdict{"yes.example": ask.Approved, "no.example": ask.Rejected} {
		p, err := d.Submit(ask.Question{
			Kind: ask.Route, Key: host, Title: "open \x1b[2J", Candidate: json.RawMessage(`{"host":"` + host + `","ports":[443]}`), Scopes: []ask.Scope{ask.Run},
		}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decide(ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: verdict, Scope: ask.Run}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	lines, err := inbox.Carried(run)
	if err != nil || len(lines) != 1 || !slices.ContainsFunc(lines, func(s string) bool { return len(s) > 11 && s[:11] == "yes.example" }) {
		t.Errorf("it names %q, %v", lines, err)
	}
}
