package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// killWorld has an agent that leaves daemons behind it: one in a session of its own, one forked
// twice and orphaned. All carry the world's mark in their argv.
func killWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, standin.Config{})
	w.bottle("workspace: copy\n", claude.Host)
	w.agent(`
echo "was here before: $(cat ~/workspace/mark 2>/dev/null)"
echo mark-of-the-agent > ~/workspace/mark
setsid bash -c 'exec -a ` + w.mark() + ` sleep 100000' </dev/null >/dev/null 2>&1 &
( ( exec -a ` + w.mark() + ` sleep 100000 </dev/null >/dev/null 2>&1 ) & )
trap '' TERM HUP INT
for n in pid net mnt user ipc uts cgroup; do echo "ns $(readlink /proc/self/ns/$n)"; done
until [ $(pgrep -fc "^` + w.mark() + ` ") = 2 ]; do :; done
echo running
case "$*" in *finish*) exit 3;; esac
exec -a ` + w.mark() + ` sleep 100000
`)
	return w
}

func (w *world) mark() string { return "mark-" + strings.TrimPrefix(w.title(), "bot-bottle:")[:8] }

// namespaces are those that the agent said it is in.
func namespaces(out string) []string {
	var found []string
	for line := range strings.Lines(out) {
		if ns, ok := strings.CutPrefix(line, "ns "); ok {
			found = append(found, strings.TrimSpace(ns))
		}
	}
	return found
}

// remains lists what the world still has on this host besides files.
func (w *world) remains(namespaces []string) []string {
	left := w.processes()
	for pid, line := range commandLines() {
		if strings.HasPrefix(line, w.mark()+" ") {
			left = append(left, fmt.Sprint("agent ", pid, " ", line))
		}
	}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	for _, l := range links {
		to, err := os.Readlink(l)
		for _, ns := range namespaces {
			if err == nil && to == ns {
				left = append(left, "namespace "+l+" "+ns)
			}
		}
	}
	mounts, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	for _, m := range mounts {
		if text, err := os.ReadFile(m); err == nil && bytes.Contains(text, []byte(w.dir)) {
			left = append(left, "mount in "+m)
		}
	}
	group := "bot-bottle-" + strings.TrimSuffix(strings.TrimPrefix(w.title(), "bot-bottle:"), ":") + "-"
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && strings.HasPrefix(e.Name(), group) {
			left = append(left, "cgroup "+path)
		}
		return nil
	})
	return left
}

// seesAll holds remains itself: of a bottle that runs it finds everything.
func (w *world) seesAll(namespaces []string) {
	w.t.Helper()
	eventually(w.t, "a running bottle is seen whole", func() bool {
		all := strings.Join(w.remains(namespaces), "\n") + "\n"
		for what, count := range map[string]int{" guest \n": 1, " sidecar \n": 1, "agent ": 3, "mount in ": 1} {
			if strings.Count(all, what) < count {
				return false
			}
		}
		for _, ns := range namespaces {
			if !strings.Contains(all, " "+ns+"\n") {
				return false
			}
		}
		return true
	})
}

// dead waits until nothing of the world runs.
func (w *world) dead(namespaces []string) {
	w.t.Helper()
	var left []string
	defer func() {
		if w.t.Failed() {
			w.t.Logf("left: %q", left)
		}
	}()
	eventually(w.t, "nothing runs", func() bool {
		left = nil
		for _, l := range w.remains(namespaces) {
			if !strings.HasPrefix(l, "cgroup ") { // what no process is in may wait for cleanup
				left = append(left, l)
			}
		}
		return len(left) == 0
	})
}

// nothingIsLeft checks after cleanup: nothing on the host, no file but the manifests and what can be
// made again.
func (w *world) nothingIsLeft(namespaces []string) {
	w.t.Helper()
	if left := w.remains(namespaces); len(left) > 0 {
		w.t.Errorf("left after cleanup: %q", left)
	}
	w.stateIs()
	_ = filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		for _, known := range []string{filepath.Join(w.home, "bottles"), filepath.Join(w.home, "agents"), filepath.Join(w.home, "cache"), w.bin, w.project} {
			if strings.HasPrefix(path, known+"/") {
				return nil
			}
		}
		if path == filepath.Join(w.home, "fingerprint.key") {
			return nil // the user's own, of all runs
		}
		w.t.Errorf("a file is left: %s", path)
		return nil
	})
}

func (w *world) clean(args ...string) result {
	w.t.Helper()
	r := w.run(append([]string{"cleanup", "--yes"}, args...)...)
	if r.code != 0 {
		w.t.Errorf("cleanup %q: exit %d\n%s\n%s", args, r.code, r.out, r.err)
	}
	return r
}

// phases of a run that can be held, and whether the agent has run when it is.
var phases = []struct {
	name  string
	child bool // the guest and the sidecar are there
	ran   bool // the agent has run
}{
	{"prepare", false, false},
	{"sidecar", true, false},
	{"self-check", true, false},
	{"provision", true, false},
	{"agent", true, false},
	{"teardown", true, true},
	{"settle", false, true},
}

var startArgs = []string{"start", "work", "--yes", "--headless", "--prompt"}

func TestKilledCommandLineLeavesNothingThatCleanupDoesNotFind(t *testing.T) {
	needNative(t)
	for _, p := range phases {
		t.Run("before "+p.name, func(t *testing.T) {
			w := killWorld(t)
			c, gate := w.hold(p.name, append(startArgs, "finish")...)
			b := w.spawn(c)
			gate.reached()
			b.signal(syscall.SIGKILL)
			b.wait()
			w.afterDeath(p.ran, namespaces(b.out.String()))
		})
	}
	t.Run("while the agent runs", func(t *testing.T) {
		w := killWorld(t)
		b := w.begin()
		b.says("running\n")
		w.seesAll(namespaces(b.out.String()))
		b.signal(syscall.SIGKILL)
		b.wait()
		w.afterDeath(true, namespaces(b.out.String()))
	})
}

// afterDeath checks a world whose only command line was killed.
func (w *world) afterDeath(ran bool, ns []string) {
	w.t.Helper()
	w.dead(ns)
	if ran && len(ns) != 7 {
		w.t.Errorf("the agent was in %q", ns)
	}
	got, want := w.only(), "left over"
	if ran {
		want = "kept"
	}
	if got.State != want {
		w.t.Errorf("it is %q, want %q", got.State, want)
	}
	r := w.clean()
	listed, keeps := strings.Contains(r.out, got.Identity), strings.Contains(r.out, got.Identity+"  kept, and stays so")
	if ran && listed != keeps || !ran && (keeps || !listed) {
		w.t.Errorf("cleanup listed %q", r.out)
	}
	if ran {
		if again := w.clean(); strings.Contains(again.out, got.Identity) {
			w.t.Errorf("a second cleanup listed %q", again.out)
		}
	}
	if ran {
		w.stateIs(got.Identity)
		again := w.run("resume", got.Identity, "--yes", "--headless", "--prompt", "finish")
		if again.code != 3 || !strings.Contains(again.out, "was here before: mark-of-the-agent\n") {
			w.t.Errorf("resume: exit %d\n%s\n%s", again.code, again.out, again.err)
		}
		if r := w.clean("--preserved"); !strings.Contains(r.out, got.Identity) {
			w.t.Errorf("cleanup listed %q", r.out)
		}
	}
	w.nothingIsLeft(ns)
}

// A run is also killed between the steps of one phase: as soon as a thing appears.
func TestKilledAsSoonAsSomethingExists(t *testing.T) {
	needNative(t)
	for _, what := range []string{
		"", "lock", "metadata.json", "run", "run/native.lock", "run/guest.sock", "run/sidecar.sock", "audit.jsonl",
		"run/native.json", "home/.bot-bottle-prompt.txt", "home/workspace", "agent/agent.env", ".preserve",
	} {
		t.Run("state/"+what, func(t *testing.T) {
			w := killWorld(t)
			b := w.begin()
			pattern := filepath.Join(w.home, "state", "*", what)
			for {
				if found, _ := filepath.Glob(pattern); len(found) > 0 {
					break
				}
				select {
				case <-b.ended:
					t.Fatalf("it ended first: %+v", b.wait())
				default:
				}
			}
			b.signal(syscall.SIGKILL)
			b.wait()
			w.dead(namespaces(b.out.String()))
			for _, r := range w.list() {
				if r.State == "running" {
					t.Errorf("%+v", r)
				}
			}
			w.clean()
			w.clean("--preserved")
			w.nothingIsLeft(nil)
		})
	}
}

func TestKilledPartEndsTheRun(t *testing.T) {
	needNative(t)
	for _, victim := range []string{"guest", "sidecar"} {
		for _, p := range phases {
			if !p.child {
				continue
			}
			t.Run(victim+" before "+p.name, func(t *testing.T) {
				w := killWorld(t)
				c, gate := w.hold(p.name, append(startArgs, "finish")...)
				b := w.spawn(c)
				gate.reached()
				pid := w.pid(victim)
				kill(t, pid)
				eventually(t, "its owner has noticed", func() bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) })
				gate.open()
				r := b.wait()
				if p.ran {
					if r.code != 3 {
						t.Errorf("the agent's exit code became %d:\n%s", r.code, r.err)
					}
					if id := r.kept(t); w.only() != (row{id, "kept"}) {
						t.Errorf("%+v", w.only())
					}
					w.clean("--preserved")
				} else if r.code != 125 || r.err == "" || strings.Contains(r.out, "running") {
					t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
				}
				w.dead(namespaces(r.out))
				w.nothingIsLeft(namespaces(r.out)) // without any cleanup, where the agent did not run
			})
		}
		t.Run(victim+" while the agent runs", func(t *testing.T) {
			w := killWorld(t)
			b := w.begin()
			b.says("running\n")
			ns := namespaces(b.out.String())
			kill(t, w.pid(victim))
			r := b.wait()
			if r.code != 125 || !strings.Contains(r.err, "bot-bottle: cannot go on") {
				t.Errorf("exit %d\n%s", r.code, r.err)
			}
			id := r.kept(t)
			w.dead(ns)
			again := w.run("resume", id, "--yes", "--headless", "--prompt", "finish")
			if again.code != 3 || !strings.Contains(again.out, "was here before: mark-of-the-agent\n") {
				t.Errorf("resume: exit %d\n%s\n%s", again.code, again.out, again.err)
			}
			w.clean("--preserved")
			w.nothingIsLeft(ns)
		})
	}
}

// kill ends a process of this test's world and waits until it has ended.
func kill(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
	if err != nil || n == 0 {
		t.Fatalf("process %d does not end: %v", pid, err)
	}
}
