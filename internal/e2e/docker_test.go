package e2e_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// ownEngine is the engine of these tests, started when the first one needs it.
type ownEngine struct {
	once    sync.Once
	engine  *enginetest.Engine
	missing error

	mu   sync.Mutex // guards made
	made map[string]bool
}

var dockerEngine ownEngine

// needDocker makes the world's commands use the docker backend on the tests' own engine.
func needDocker(t *testing.T, w *world) {
	t.Helper()
	dockerEngine.once.Do(func() { dockerEngine.engine, dockerEngine.missing = enginetest.Start(gvisor()...) })
	need.Require(t, need.Docker, dockerEngine.missing)
	w.env["DOCKER_HOST"] = "unix://" + dockerEngine.engine.Socket
	w.env["BOT_BOTTLE_BACKEND"] = "docker"
	w.env["BOT_BOTTLE_DOCKER_RUNTIME"] = "runc" // see needGVisor
	t.Cleanup(func() {
		found, err := dockerEngine.engine.Client.List(context.Background(), "bot-bottle.identity")
		if err != nil || len(found) > 0 {
			t.Errorf("left in the engine: %v, %v", found, err)
		}
	})
}

func stopEngine() {
	if dockerEngine.engine != nil {
		dockerEngine.engine.Stop()
	}
}

// copyFile copies; a build's context follows no link.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err == nil {
		_, err = io.Copy(out, in)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// claudeByDockerfile makes the bottle's image from a Dockerfile of the manifest's, which copies the real
// Claude Code.
func (w *world) claudeByDockerfile() {
	w.t.Helper()
	image := filepath.Join(w.dir, "image")
	w.file(filepath.Join(image, "Dockerfile"), "FROM "+enginetest.Image+"\nCOPY claude /usr/local/bin/claude\n", 0o644)
	copyFile(w.t, need.Agent(w.t, "claude"), filepath.Join(image, "claude"))
	w.bottle("workspace: copy\nagent_provider: {template: claude, dockerfile: "+filepath.Join(image, "Dockerfile")+"}\n", claude.Host)
}

// TestClaudeWorksInAContainer runs the real program in an image that the manifest's Dockerfile makes.
func TestClaudeWorksInAContainer(t *testing.T) {
	model := claudeModel()
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: model}})
	needDocker(t, w)
	w.claudeByDockerfile()
	claudeWorks(t, w, model)
}

func TestTheDemoRunsInAContainer(t *testing.T) {
	w := newWorld(t, standin.Config{})
	needDocker(t, w)
	r := w.run("demo", "--backend", "docker")
	if r.code != 0 || !strings.Contains(r.out, "every guard held") || !strings.Contains(r.out, "docker backend") {
		t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
}

// containerWorld has an agent that is a script in an image.
func containerWorld(t *testing.T, script string) *world {
	t.Helper()
	return containerWorldOf(t, script, standin.Config{})
}

// containerWorldOf is the same with routes to what the upstream plays.
func containerWorldOf(t *testing.T, script string, config standin.Config, routes ...string) *world {
	t.Helper()
	w := newWorld(t, config)
	needDocker(t, w)
	image := filepath.Join(w.dir, "image")
	w.file(filepath.Join(image, "Dockerfile"), "FROM "+enginetest.Image+"\nCOPY claude /usr/local/bin/claude\n", 0o644)
	w.file(filepath.Join(image, "claude"), "#!/bin/bash\n"+script, 0o755)
	w.bottle("workspace: copy\nagent_provider: {template: claude, dockerfile: "+filepath.Join(image, "Dockerfile")+"}\n", append(routes, claude.Host)...)
	return w
}

// runningContainers of all bottles in the tests' engine.
func runningContainers(t *testing.T) (running int) {
	t.Helper()
	found, err := dockerEngine.engine.Client.List(context.Background(), "bot-bottle.identity")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found {
		if c.State == "running" {
			running++
		}
	}
	return running
}

func TestKilledCommandLineLeavesNoContainerThatCleanupDoesNotFind(t *testing.T) {
	const script = "echo mark > ~/workspace/mark; echo running; case \"$*\" in *finish*) exit 3;; esac; exec sleep 100000\n"
	for _, p := range phases {
		t.Run("before "+p.name, func(t *testing.T) {
			w := containerWorld(t, script)
			c, gate := w.hold(p.name, append(startArgs, "finish")...)
			b := w.spawn(c)
			gate.reached()
			b.signal(syscall.SIGKILL)
			b.wait()
			w.afterDeathInContainer(p.ran)
		})
	}
	t.Run("while the agent runs", func(t *testing.T) {
		w := containerWorld(t, script)
		b := w.begin()
		b.says("running\n")
		if n := runningContainers(t); n != 2 {
			t.Errorf("%d containers run", n)
		}
		b.signal(syscall.SIGKILL)
		b.wait()
		w.afterDeathInContainer(true)
	})
}

// afterDeathInContainer checks a world whose only command line was killed.
func (w *world) afterDeathInContainer(ran bool) {
	w.t.Helper()
	eventually(w.t, "no container runs", func() bool { return runningContainers(w.t) == 0 })
	got, want := w.only(), "left over"
	if ran {
		want = "kept"
	}
	if got.State != want {
		w.t.Errorf("it is %q, want %q", got.State, want)
	}
	w.clean()
	if list, err := dockerEngine.engine.Client.List(w.t.Context(), "bot-bottle.identity"); err != nil || len(list) > 0 {
		w.t.Errorf("after cleanup the engine has %d containers, %v", len(list), err)
	}
	if ran {
		again := w.run("resume", got.Identity, "--yes", "--headless", "--prompt", "finish")
		if again.code != 3 || !strings.Contains(again.out, "running") {
			w.t.Errorf("resume: exit %d\n%s\n%s", again.code, again.out, again.err)
		}
		w.clean("--preserved")
	}
	w.stateIs()
}

func TestOthersReachAContainer(t *testing.T) {
	w := containerWorld(t, "echo running; exec sleep 100000\n")
	b := w.begin()
	b.says("running\n")
	id := w.only().Identity
	if r := w.run("exec", id, "--", "sh", "-c", "id -un; exit 9"); r.code != 9 || r.out != "node\n" {
		t.Errorf("exec: %d %q %s", r.code, r.out, r.err)
	}
	if r := w.run("start", "work", "--yes", "--headless", "--prompt", "x", "--dry-run"); r.code != 0 || !strings.Contains(r.out+r.err, "docker") {
		t.Errorf("dry run: %d %s %s", r.code, r.out, r.err)
	}
	if r := w.run("log", id); r.code != 0 || !strings.Contains(r.out, "agent started") {
		t.Errorf("log: %d %q %s", r.code, r.out, r.err)
	}
	if r := w.run("resume", id, "--yes", "--headless", "--prompt", "x"); r.code != 125 {
		t.Errorf("resume of what runs: %d %s", r.code, r.err)
	}
	if r := w.run("stop", id); r.code != 0 {
		t.Errorf("stop: %d %s", r.code, r.err)
	}
	b.wait()
	w.clean("--preserved")
	w.stateIs()
}
