package gate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func TestAnAgentsDay(t *testing.T) {
	w := open(t, pushes(plan.GitPush{Refs: []string{"main", "refs/tags/v*"}}))
	dir := w.clone()
	if text, err := os.ReadFile(filepath.Join(dir, "README")); err != nil || string(text) != "hello\n" {
		t.Fatalf("cloned %q, %v", text, err)
	}
	w.commit(dir, "a", "one\n", "a")
	out := gatetest.Git(t, dir, "push", "origin", own)
	if !strings.Contains(out, "new objects") {
		t.Errorf("a push says nothing: %s", out)
	}
	want := gatetest.Git(t, dir, "rev-parse", "HEAD")
	if got := gatetest.Git(t, w.up.Bare("app"), "rev-parse", "bottle/dev-abc12/work"); got != want {
		t.Errorf("the upstream has %s, want %s", got, want)
	}
	w.nothingLeft()

	// Somebody else pushes to main meanwhile.
	other := t.TempDir()
	gatetest.Git(t, "", "clone", "-q", w.up.Bare("app"), other)
	w.commit(other, "b", "two\n", "b")
	gatetest.Git(t, other, "push", "-q", "origin", "main")
	w.refusedBy(dir, "fetch first", "origin", "main")
	gatetest.Git(t, dir, "pull", "-q", "--rebase", "origin", "main")
	gatetest.Git(t, dir, "push", "-q", "origin", "main")
	gatetest.Git(t, dir, "tag", "-a", "-m", "release", "v1")
	gatetest.Git(t, dir, "push", "-q", "origin", "v1")
	if got := gatetest.Git(t, w.up.Bare("app"), "log", "--format=%s", "v1"); got != "a\nb\nfirst" {
		t.Errorf("the upstream has %q", got)
	}

	// A second bottle sees it all, and not by the first one's hand.
	second := w.clone()
	if got := gatetest.Git(t, second, "log", "--format=%s"); got != "a\nb\nfirst" {
		t.Errorf("a second clone has %q", got)
	}
	gatetest.Git(t, second, "rev-parse", "v1")
}

// refusedBy wants a push to fail, wherever.
func (w *world) refusedBy(dir, want string, args ...string) {
	w.t.Helper()
	if out, err := gatetest.Try(dir, append([]string{"push"}, args...)...); err == nil || !strings.Contains(out, want) {
		w.t.Errorf("git push %s: %v, want %q in:\n%s", strings.Join(args, " "), err, want, out)
	}
}

func TestASecretIsRefusedWithItsPlace(t *testing.T) {
	w := open(t)
	dir := w.clone()
	w.commit(dir, "src/config.py", "a = 1\nb = 2\nkey = '"+token()+"'\n", "settings")
	out := w.refused(dir, "line 3", "origin", own)
	for _, want := range []string{"src/config.py", "github-pat", "commit " + gatetest.Git(t, dir, "rev-parse", "HEAD")[:10], "amend"} {
		if !strings.Contains(out, want) {
			t.Errorf("the refusal does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, token()) {
		t.Error("the refusal repeats the secret")
	}
	w.commit(dir, "src/config.py", "a = 1\n", "take it out")
	w.refused(dir, "git-gate: it holds", "origin", own)
	gatetest.Git(t, dir, "reset", "-q", "--soft", "HEAD~2")
	gatetest.Git(t, dir, "commit", "-q", "-m", "clean")
	gatetest.Git(t, dir, "push", "-q", "origin", own)
}
