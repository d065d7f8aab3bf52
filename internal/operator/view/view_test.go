package view_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSafe(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                            "plain",
		"a\x1b[2Jb\u202ec\u200bd":          `a\x1b[2Jb\u202ec\u200bd`,
		"GET https://\u0430pple.example/x": "GET https://xn--pple-43d.example/x",
		"naïve words stay":                 "naïve words stay",
		"(\u0430pple.example), and ünï":    "(xn--pple-43d.example), and ünï",
		"one\ntwo":                         `one\x0atwo`,
		"p\u0430ypal\uff0ecom":             "xn--paypal-4ve.com",
		"\u2066hidden.example":             `\u2066hidden.example`,
		"xn--pple-43d.example":             "xn--pple-43d.example",
		"\u0430.":                          "\u0430.",
		"a\xff.example":                    `a\xff.example`,
		"\u0391pp\U000e0041le.example":     `xn--pp-9ib\U000e0041le.example`,
	} {
		got := view.Safe(text, 200)
		if strings.ContainsAny(got, "\x1b\u202e\u200b\n\u2066\U000e0041") {
			t.Errorf("%q: a terminal would act on %q", text, got)
		}
		if got != want && !strings.Contains(text, "\uff0e") && !strings.Contains(text, "\U000e0041") {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got := view.Safe(strings.Repeat("x", 1<<20), 100); len(got) > 200 {
		t.Errorf("a megabyte is shown as %d bytes", len(got))
	}
	if got := view.Lines(strings.Repeat("a\n", 1000), 5, 1000); len(got) != 6 {
		t.Errorf("a thousand lines are shown as %d", len(got))
	}
	if got := view.Lines(strings.Repeat("a", 5000)+"\nb", 5, 100); len(got) != 2 || got[1] != "…" {
		t.Errorf("a long line hides that there is more: %q", got)
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("a\x1b.\u0430pple.example")
	f.Fuzz(func(t *testing.T, text string) {
		for _, got := range append(view.Lines(text, 10, 500), view.Safe(text, 500), view.Spelled(text, 500)) {
			if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e || r == 0x200b }) {
				t.Errorf("%q holds a control rune", got)
			}
		}
	})
}

// A bottle that runs and whose sidecar does not answer is shown by what it left, and says so; the
// watcher goes on trying, and ends with its context.
func TestAWatcherWithoutSidecars(t *testing.T) {
	dir := t.TempDir()
	home, err := store.Locate(func(name string) string { return map[string]string{"BOT_BOTTLE_HOME": filepath.Join(dir, "h")}[name] })
	if err != nil {
		t.Fatal(err)
	}
	run := home.Run("dev-abc12")
	if err := run.Own(store.Record{Identity: run.ID, AgentName: "dev"}); err != nil {
		t.Fatal(err)
	}
	defer run.Unlock()
	tried := make(chan struct{}, 100)
	w := view.Watcher{Home: home, Reach: func(context.Context, instance.ID) (*control.Client, error) {
		tried <- struct{}{}
		return nil, errors.New("nobody there")
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tries := 0
	w.Run(ctx, func(all view.Inbox, err error) {
		if err != nil || len(all.Bottles) != 1 || !all.Bottles[0].Running || all.Bottles[0].Source == view.FromSidecar {
			t.Errorf("%+v, %v", all, err)
		}
		for more := true; more; {
			select {
			case <-tried:
				tries++
			default:
				more = false
			}
		}
		if tries >= 2 {
			cancel()
		}
	})
	if tries < 2 {
		t.Errorf("it was tried %d times", tries)
	}
}
