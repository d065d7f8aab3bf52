package e2e_test

import (
	"context"
	"fmt"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// within runs a shell script around the program, whose path is "$0", in a mount namespace of its
// own: root's, or one in a user namespace where the user keeps its number and gets capabilities.
func (w *world) within(script string) result {
	w.t.Helper()
	if os.Geteuid() == 0 {
		return w.unshared(script, "-m")
	}
	return w.unshared(script, "-Ucm", "--keep-caps")
}

// unshared runs a script in new namespaces. A machine that makes none for us skips the test.
func (w *world) unshared(script string, flags ...string) result {
	w.t.Helper()
	if err := w.commandOf(w.t.Context(), "unshare", append(slices.Clone(flags), "true")...).Run(); err != nil {
		need.Require(w.t, need.Native, fmt.Errorf("unshare %q: %w", flags, err))
	}
	return w.spawn(w.commandOf(context.Background(), "unshare", append(flags, "sh", "-c", script, program)...)).wait()
}

func groundWorld(t *testing.T) *world {
	t.Helper()
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.bottle("workspace: copy\n", claude.Host)
	w.agent("echo the agent ran\n")
	return w
}

const startScript = ` "$0" start work --yes --headless --prompt x; echo "exit $?"; `

// onDisk mounts a small disk at the state directory.
func (w *world) onDisk(size string) string {
	state := filepath.Join(w.home, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return "mount -t tmpfs -o mode=700,size=" + size + " none " + state + " || exit 99; cd " + state + "; "
}

func TestStartOnAFullDisk(t *testing.T) {
	w := groundWorld(t)
	r := w.within(w.onDisk("64k") + "cat /dev/zero > full 2>/dev/null;" + startScript + "rm full; ls -A | sed 's/^/left: /'")
	if !strings.Contains(r.out, "exit 125\n") || strings.Contains(r.out, "the agent ran") || strings.Contains(r.out, "left: ") {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(r.err, "no space left on device") || !strings.Contains(r.err, "hint: the disk is full: free some space") {
		t.Errorf("it does not say what to do:\n%s", r.err)
	}
	w.dead(nil)
}

func TestTheDiskFillsDuringTheRun(t *testing.T) {
	w := groundWorld(t)
	w.agent("cat /dev/zero > ~/workspace/full 2>/dev/null; echo the agent ran; exit 3\n")
	r := w.within(w.onDisk("4m") + startScript + `"$0" list --json; rm */home/workspace/full; "$0" cleanup --yes --preserved >/dev/null; ls -A | sed 's/^/left: /'`)
	if !strings.Contains(r.out, "the agent ran") || !strings.Contains(r.out, `"state": "kept"`) || strings.Contains(r.out, "left: ") {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(r.out, "exit 3\n") && !strings.Contains(r.out, "exit 125\n") {
		t.Errorf("%+v", r)
	}
	w.dead(nil)
}

func TestAReadOnlyHome(t *testing.T) {
	w := groundWorld(t)
	r := w.within("mount --bind " + w.home + " " + w.home + " && mount -o remount,bind,ro " + w.home + " || exit 99;" + startScript)
	if !strings.Contains(r.out, "exit 125\n") || !strings.Contains(r.err, "read-only file system") ||
		!strings.Contains(r.err, "hint: make that directory writable, or set BOT_BOTTLE_HOME to one that is") {
		t.Errorf("%+v", r)
	}
	w.dead(nil)
	w.nothingIsLeft(nil)
}

func TestNoUserNamespacesAllowed(t *testing.T) {
	w := groundWorld(t)
	r := w.unshared("echo 0 > /proc/sys/user/max_user_namespaces || exit 99;"+startScript+`"$0" doctor; echo "doctor $?"`, "-Ur")
	if !strings.Contains(r.out, "exit 125\n") || strings.Contains(r.out, "the agent ran") {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(r.err, "user.max_user_namespaces") {
		t.Errorf("it does not say what to do:\n%s", r.err)
	}
	if strings.Contains(r.out, "doctor 0\n") || !strings.Contains(r.out, "✗ backend native") {
		t.Errorf("doctor: %s", r.out)
	}
	w.dead(nil)
	w.nothingIsLeft(nil)
}

func TestNoTerminal(t *testing.T) {
	w := groundWorld(t)
	c := w.commandOf(context.Background(), "setsid", "-w", program, "start", "work")
	if r := w.spawn(c).wait(); r.code != 125 || !strings.Contains(r.err, "there is no terminal to ask on") || !strings.Contains(r.err, "--headless --prompt") {
		t.Errorf("%+v", r)
	}
	w.nothingIsLeft(nil)
}

func TestTheUpstreamIsAPortThatNobodyServes(t *testing.T) {
	w := groundWorld(t)
	w.agent("curl -sS -m 20 -o ~/workspace/answer -w '%{http_code}\\n' https://" + claude.Host + "/v1/x; cat ~/workspace/answer\n")
	_ = w.upstream.Close()
	if r := w.headless("x"); !strings.HasPrefix(r.out, "502\n") {
		t.Errorf("%+v", r)
	}
}
