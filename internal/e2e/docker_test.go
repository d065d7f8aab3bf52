package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
	w.env["BOT_BOTTLE_BASE_IMAGE"] = enginetest.Image // of the git gate; the bottles bring Dockerfiles of their own
	w.env["BOT_BOTTLE_DOCKER_RUNTIME"] = "runc"       // see needGVisor
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

// inEngine is all that the tests' engine has of the world: containers, volumes and images, by the names
// that cleanup tells them by.
func (w *world) inEngine() (names []string) {
	w.t.Helper()
	sum := sha256.Sum256([]byte(filepath.Join(w.home, "state")))
	root := hex.EncodeToString(sum[:6])
	ctx, client := context.Background(), dockerEngine.engine.Client
	containers, err := client.List(ctx, "bot-bottle.root="+root)
	volumes, verr := client.Volumes(ctx, "bot-bottle.root="+root)
	images, ierr := client.Images(ctx, "bot-bottle.role")
	if err := errors.Join(err, verr, ierr); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range containers {
		names = append(names, strings.TrimPrefix(c.Names[0], "/"))
	}
	for _, v := range volumes {
		names = append(names, v.Name)
	}
	for _, i := range images {
		for _, tag := range i.RepoTags {
			if strings.HasSuffix(tag, "-"+root) {
				names = append(names, tag)
			}
		}
	}
	return names
}

// afterDeathInContainer checks a world whose only command line was killed: what it has in the engine is
// what cleanup lists, and after that nothing.
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
	before := w.inEngine()
	r := w.clean()
	after := w.inEngine()
	for _, name := range before {
		if strings.Contains(r.out, name) == slices.Contains(after, name) {
			w.t.Errorf("%s is left: %v; cleanup listed\n%s", name, slices.Contains(after, name), r.out)
		}
	}
	for _, name := range after {
		if !strings.HasPrefix(name, "bot-bottle-sidecar:") && !strings.HasPrefix(name, "bot-bottle-agent:") { // the next start's
			w.t.Errorf("after cleanup the engine has %s", name)
		}
	}
	if ran {
		again := w.run("resume", got.Identity, "--yes", "--headless", "--prompt", "finish")
		if again.code != 3 || !strings.Contains(again.out, "running") {
			w.t.Errorf("resume: exit %d\n%s\n%s", again.code, again.out, again.err)
		}
	}
	w.clean("--preserved")
	if left := w.inEngine(); len(left) > 0 {
		w.t.Errorf("after cleanup of everything the engine has %q", left)
	}
	w.stateIs()
}

// TestKilledAsSoonAsTheEngineHasSomething is a start that is killed between the steps of one phase.
func TestKilledAsSoonAsTheEngineHasSomething(t *testing.T) {
	for what, there := range map[string]func(w *world) bool{
		"a lock":      func(w *world) bool { return w.hasState("run/docker.lock") },
		"an image":    func(w *world) bool { return len(w.inEngine()) > 0 },
		"a container": func(*world) bool { return len(listed(t, "bot-bottle.identity")) > 0 },
		"one running": func(*world) bool { return runningContainers(t) > 0 },
		"a door":      func(w *world) bool { return w.hasState("run/guest.sock") },
	} {
		t.Run(what, func(t *testing.T) {
			w := containerWorld(t, "exec sleep 100000\n")
			b := w.begin()
			for !there(w) {
				select {
				case <-b.ended:
					t.Fatalf("it ended first: %+v", b.wait())
				default:
				}
			}
			b.signal(syscall.SIGKILL)
			b.wait()
			w.afterDeathInContainer(false)
		})
	}
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
