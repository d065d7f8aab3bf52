package e2e_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// gvisor is what the tests' engine has beside its own runtime, where that was built.
func gvisor() []enginetest.Runtime {
	path, err := need.RunscPath()
	if err != nil {
		return nil
	}
	return []enginetest.Runtime{{Name: "runsc", Path: path}}
}

// needGVisor is needDocker with an engine that has runsc, and a caller who chose no runtime.
func needGVisor(t *testing.T, w *world) {
	t.Helper()
	needDocker(t, w)
	_, err := need.RunscPath()
	if err == nil && os.Getenv(enginetest.Variable) != "" {
		err = errors.New("the engine that " + enginetest.Variable + " names is not known to have runsc")
	}
	need.Require(t, need.Runsc, err)
	delete(w.env, "BOT_BOTTLE_DOCKER_RUNTIME")
}

// TestClaudeWorksUnderGVisor is TestClaudeWorksInAContainer where the engine has runsc, which is
// then used without being asked for, and told before the run.
func TestClaudeWorksUnderGVisor(t *testing.T) {
	model := claudeModel()
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: model}})
	needGVisor(t, w)
	w.claudeByDockerfile()
	if r := w.run("start", "work", "--dry-run"); r.code != 0 || !strings.Contains(r.out, "gVisor (runsc)") {
		t.Errorf("exit %d; the preflight says %s%s", r.code, r.out, r.err)
	}
	claudeWorks(t, w, model)
}

// TestARuntimeThatWasAskedForIsNotLeftOut: who asks for runsc gets it, or nothing.
func TestARuntimeThatWasAskedForIsNotLeftOut(t *testing.T) {
	w := newWorld(t, standin.Config{})
	needDocker(t, w)
	w.bottle("workspace: none\n")
	for runtime, want := range map[string]string{"crun": "it is runc or runsc", "runc": ""} {
		w.env["BOT_BOTTLE_DOCKER_RUNTIME"] = runtime
		r := w.run("doctor")
		if got := strings.Contains(r.out, "✗ backend docker"); got != (want != "") || !strings.Contains(r.out, want) || strings.Contains(r.out, "gVisor") {
			t.Errorf("%s: exit %d\n%s%s", runtime, r.code, r.out, r.err)
		}
	}
}
