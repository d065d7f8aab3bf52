package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// endsInterrupted interrupts a start as soon as something is there, and holds how it ends: with 130,
// and with nothing left.
func (w *world) endsInterrupted(there func() bool, args ...string) {
	w.t.Helper()
	b := w.spawn(w.command(w.t.Context(), args...))
	for !there() {
		select {
		case <-b.ended:
			w.t.Fatalf("it ended first: %+v", b.wait())
		default:
		}
	}
	b.signal(syscall.SIGINT)
	r := b.wait()
	if r.code != 130 || !strings.Contains(r.err, "bot-bottle: interrupted") || strings.Contains(r.err, "hint:") {
		w.t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	if strings.Contains(strings.Join(args, " "), "--json") && !strings.Contains(r.out, `"exit_code": 130`) {
		w.t.Errorf("its result: %s", r.out)
	}
	w.clean("--preserved")
	w.stateIs()
}

// hasState finds something below the state of the world's one run.
func (w *world) hasState(what string) bool {
	found, _ := filepath.Glob(filepath.Join(w.home, "state", "*", what))
	return len(found) > 0
}

// TestAStartThatIsInterruptedEndsWith130 wherever it is: none of what breaks off then is a failure.
func TestAStartThatIsInterruptedEndsWith130(t *testing.T) {
	args := append(append([]string{}, startArgs...), "x", "--json")
	for _, what := range []string{"lock", "run/native.lock", "run/guest.sock", "home/.bot-bottle-prompt.txt"} {
		t.Run("native/"+what, func(t *testing.T) {
			w := patientWorld(t)
			w.endsInterrupted(func() bool { return w.hasState(what) }, args...)
			w.dead(nil)
		})
	}
	for _, what := range []string{"run/docker.lock", "container", "running", "home/.bot-bottle-prompt.txt"} {
		t.Run("docker/"+what, func(t *testing.T) {
			w := containerWorld(t, "exec sleep 100000\n")
			w.endsInterrupted(func() bool {
				switch what {
				case "container":
					return len(listed(t, "bot-bottle.identity")) > 0
				case "running":
					return runningContainers(t) > 0
				}
				return w.hasState(what)
			}, args...)
		})
	}
	for builder, choice := range map[string]string{"BuildKit": "1", "the classic builder": "0"} {
		t.Run("docker/"+builder, func(t *testing.T) {
			w := newWorld(t, standin.Config{})
			needDocker(t, w)
			w.env["BOT_BOTTLE_BUILD_NETWORK"] = "none"
			w.env["DOCKER_BUILDKIT"] = choice
			file, step := filepath.Join(w.dir, "image", "Dockerfile"), "7654321"+choice
			w.file(file, "FROM "+enginetest.Image+"\nRUN echo is-building; exec sleep "+step+"\n", 0o644)
			w.bottle("workspace: copy\nagent_provider: {template: claude, dockerfile: "+file+"}\n", claude.Host)
			runs := func() bool { return anyProcess("sleep\x00" + step + "\x00") }
			w.endsInterrupted(runs, args...)
			eventually(t, "the build's step is gone", func() bool { return !runs() })
		})
	}
}

// anyProcess finds a process of this machine by its whole command line.
func anyProcess(line string) bool {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	return slices.ContainsFunc(found, func(name string) bool {
		raw, _ := os.ReadFile(name) // one that has just ended is not the one
		return string(raw) == line
	})
}
