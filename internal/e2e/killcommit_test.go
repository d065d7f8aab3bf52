package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// busyAgent has many files to copy, and shows by one that grows that it lives.
const busyAgent = `
mkdir ~/many && cd ~/many && for i in {1..15000}; do : > $i; done
printf x > ~/beats
trap 'exit 0' TERM
echo running
while :; do read -t 0.05 <> <(:); printf x >> ~/beats; done
`

// caught starts a commit and stops it in the middle of its copying; fresh is what it has in hand.
func (w *world) caught(id string) (c *exec.Cmd, fresh string) {
	w.t.Helper()
	c = w.command(w.t.Context(), "commit", id)
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "commit copies", func() bool {
		found, _ := filepath.Glob(filepath.Join(w.home, "frozen", ".new-*", "home", "many"))
		if len(found) > 0 {
			fresh = filepath.Dir(filepath.Dir(found[0]))
		}
		return fresh != ""
	})
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		w.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.home, "frozen", id)); err == nil {
		w.t.Fatal("the copy was made before it could be stopped: the agent needs more files")
	}
	return c, fresh
}

// TestABottleGoesOnWhenItsCommitIsKilled kills it while it copies, when everything in the bottle is stopped.
func TestABottleGoesOnWhenItsCommitIsKilled(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.bottle("workspace: copy\n", claude.Host)
	w.agent(busyAgent)
	b, id := w.running()
	commit, fresh := w.caught(id)
	if r := w.clean(); strings.Contains(r.out, fresh) {
		t.Errorf("cleanup takes what a living commit has in hand:\n%s", r.out)
	}
	if _, err := os.Stat(filepath.Join(fresh, "home")); err != nil {
		t.Errorf("what a living commit has in hand is gone: %v", err)
	}
	beats := func() int64 {
		info, err := os.Stat(filepath.Join(w.home, "state", id, "home", "beats"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := beats()
	if err := commit.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = commit.Wait()
	eventually(t, "the agent goes on", func() bool { return beats() > before })
	if r := w.clean(); !strings.Contains(r.out, fresh) {
		t.Errorf("cleanup does not show %s:\n%s", fresh, r.out)
	}
	if left, err := os.ReadDir(filepath.Join(w.home, "frozen")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if r := w.run("stop", id); r.code != 0 {
		t.Errorf("stop: exit %d\n%s", r.code, r.err)
	}
	b.wait()
}
