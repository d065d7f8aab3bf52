package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// oddAgent makes files of odd names, modes and sizes, then waits, or tells what it finds.
const oddAgent = `case "$*" in
*look*) cd ~/workspace && find . ! -name . -printf '%p %M %U:%G %s %l\0' | LC_ALL=C sort -z | tr '\0' '\n'; sha256sum big; exit 0 ;;
esac
cd ~/workspace
printf x > $'odd "name"\n\té'
mkdir -p deep/er && chmod 550 deep/er
head -c 3000000 /dev/zero | tr '\0' q > big
truncate -s 50M hole
ln -s /etc/passwd link
ln big second
printf '#!/bin/sh\n' > tool && chmod 4711 tool
mkfifo pipe
chmod 000 tool
trap 'exit 0' TERM
echo running
while :; do read -t 1000 <> <(:); done
`

func TestABottleIsFrozenAndOthersAreMadeOfIt(t *testing.T) {
	t.Run("native", func(t *testing.T) {
		needNative(t)
		w := newWorld(t, standin.Config{})
		w.bottle("workspace: copy\n", claude.Host)
		w.agent(oddAgent)
		frozen(t, w)
	})
	t.Run("docker", func(t *testing.T) { frozen(t, containerWorld(t, oddAgent)) })
}

func frozen(t *testing.T, w *world) {
	b, id := w.running()
	if r := w.run("commit", id); r.code != 0 || strings.TrimSpace(r.out) != id {
		t.Fatalf("commit: exit %d\n%s%s", r.code, r.out, r.err)
	}
	// It goes on: what it is asked reaches it.
	if r := w.run("exec", id, "--", "sh", "-c", "echo more > ~/workspace/after"); r.code != 0 {
		t.Errorf("exec after commit: exit %d\n%s", r.code, r.err)
	}
	if r := w.run("start", "--from", id, "--yes", "--headless", "--prompt", "look"); r.code != 0 || strings.Contains(r.out, "after") {
		t.Errorf("start from a running one's copy: exit %d\n%s%s", r.code, r.out, r.err)
	}
	if r := w.run("stop", id); r.code != 0 {
		t.Errorf("stop: exit %d\n%s", r.code, r.err)
	}
	b.wait()
	if r := w.run("cleanup", id, "--yes"); r.code != 0 {
		t.Fatalf("cleanup: exit %d\n%s", r.code, r.err)
	}
	if rows := w.list(); len(rows) != 1 || rows[0].State != "committed" || rows[0].Identity != id {
		t.Errorf("list shows %+v", rows)
	}
	var looks []string
	for range 2 {
		r := w.run("start", "--from", id, "--yes", "--headless", "--prompt", "look")
		if r.code != 0 {
			t.Fatalf("start --from: exit %d\n%s", r.code, r.err)
		}
		looks = append(looks, r.out)
	}
	r := w.run("resume", id, "--yes", "--headless", "--prompt", "look")
	if r.code != 0 {
		t.Fatalf("resume: exit %d\n%s", r.code, r.err)
	}
	looks = append(looks, r.out)
	for _, look := range looks {
		for _, want := range []string{"./odd \"name\"\n\té -rw-", "./deep/er dr-xr-x--- ", "./hole -rw-r--r-- 1000:1000 52428800", "./link lrwxrwxrwx ", "/etc/passwd", "./pipe prw-", "./second ", "3000000", "./tool ---------- "} {
			if !strings.Contains(look, want) {
				t.Errorf("%q is not there:\n%s", want, look)
			}
		}
		if look != looks[0] {
			t.Errorf("the bottles differ:\n%s\n%s", look, looks[0])
		}
	}
	if r := w.run("rm", id, "--yes"); r.code != 0 {
		t.Errorf("rm: exit %d\n%s", r.code, r.err)
	}
	if rows := w.list(); slices.ContainsFunc(rows, func(r row) bool { return r.Identity == id }) {
		t.Errorf("after rm there is %+v", rows)
	}
	if left, err := os.ReadDir(filepath.Join(w.home, "frozen")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if r := w.run("start", "--from", id, "--yes", "--headless", "--prompt", "look"); r.code != 125 || !strings.Contains(r.err, "there is no bottle") {
		t.Errorf("from what was removed: exit %d\n%s", r.code, r.err)
	}
}
