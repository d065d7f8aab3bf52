package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// TestAnEngineThatDiesDuringARun kills an engine of its own below a running bottle: who started it
// reads what happened and what to do, loses nothing, and goes on when the engine is there again.
func TestAnEngineThatDiesDuringARun(t *testing.T) {
	t.Parallel() // both wait until the other side has been silent for long
	outlivesItsEngine(t, "runc")
}

// TestAnEngineThatDiesDuringARunUnderGVisor is told in the same words.
func TestAnEngineThatDiesDuringARunUnderGVisor(t *testing.T) {
	path, err := need.RunscPath()
	need.Require(t, need.Runsc, err)
	t.Parallel()
	outlivesItsEngine(t, "runsc", enginetest.Runtime{Name: "runsc", Path: path})
}

func outlivesItsEngine(t *testing.T, runtime string, with ...enginetest.Runtime) {
	t.Helper()
	own, err := enginetest.StartOwn(with...)
	need.Require(t, need.Docker, err)
	t.Cleanup(own.Stop)
	w := newWorld(t, standin.Config{})
	w.env["DOCKER_HOST"], w.env["BOT_BOTTLE_BACKEND"], w.env["BOT_BOTTLE_DOCKER_RUNTIME"] = "unix://"+own.Socket, "docker", runtime
	image := filepath.Join(w.dir, "image")
	w.file(filepath.Join(image, "Dockerfile"), "FROM "+enginetest.Image+"\nCOPY claude /usr/local/bin/claude\n", 0o644)
	w.file(filepath.Join(image, "claude"), "#!/bin/bash\ncat mark 2>/dev/null; echo of-the-first-run > mark; echo running; case \"$*\" in *finish*) exit 3;; esac; exec sleep 100000\n", 0o755)
	up := gatetest.New(t) // so that there is a git gate too
	up.Repository("app")
	w.env["BOT_BOTTLE_BASE_IMAGE"] = enginetest.Image
	w.bottle(gitBottle(up, "workspace: copy\nagent_provider: {template: claude, dockerfile: "+filepath.Join(image, "Dockerfile")+"}\n"), claude.Host)

	b := w.begin()
	b.says("running\n")
	id := w.only().Identity
	if err := own.Kill(); err != nil {
		t.Fatal(err)
	}
	r := b.wait()
	if r.code != 125 || r.kept(t) != id {
		t.Errorf("exit %d\n%s", r.code, r.err)
	}
	for _, want := range []string{`cannot go on with "` + id + `": its backend is gone: the engine does not answer on ` + own.Socket, "hint: start the backend again", "go on with: bot-bottle resume " + id} {
		if !strings.Contains(r.err, want) {
			t.Errorf("it does not say %q:\n%s", want, r.err)
		}
	}
	if got := w.only(); got != (row{id, "kept"}) {
		t.Errorf("without an engine: %+v", got)
	}
	if r := w.run("resume", id, "--yes", "--headless", "--prompt", "finish"); r.code != 125 || !strings.Contains(r.err, "the engine does not answer on ") || !strings.Contains(r.err, "hint: start it") {
		t.Errorf("resume without an engine: exit %d\n%s", r.code, r.err)
	}
	if got := w.only(); got != (row{id, "kept"}) {
		t.Errorf("after that: %+v", got)
	}

	if err := own.Restart(); err != nil {
		t.Fatal(err)
	}
	if got := w.only(); got != (row{id, "kept"}) {
		t.Errorf("with an engine again: %+v", got)
	}
	if r := w.run("resume", id, "--yes", "--headless", "--prompt", "finish"); r.code != 3 || r.out != "of-the-first-run\nrunning\n" || r.kept(t) != id {
		t.Errorf("resume: exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	w.clean("--preserved")
	w.stateIs()
	if found, err := own.Client.List(t.Context(), "bot-bottle.identity"); err != nil || len(found) > 0 {
		t.Errorf("left in the engine: %v, %v", found, err)
	}
}
