package docker_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/need"
)

// TestAnEngineThatDies ends the bottle with it: the owner is told, and neither container goes on.
func TestAnEngineThatDies(t *testing.T) {
	getenv(t)
	t.Parallel() // its processes end when they have heard nothing for long
	endsWithItsEngine(t, "runc", 2)
}

// TestAnEngineThatDiesUnderGVisor ends the sandbox too, and the link's container.
func TestAnEngineThatDiesUnderGVisor(t *testing.T) {
	needRunsc(t)
	path, err := need.RunscPath()
	must(t, err)
	t.Parallel()
	endsWithItsEngine(t, "runsc", 3, enginetest.Runtime{Name: "runsc", Path: path})
}

func endsWithItsEngine(t *testing.T, runtime string, containers int, with ...enginetest.Runtime) {
	t.Helper()
	e, err := enginetest.StartOwn(with...)
	must(t, err)
	t.Cleanup(e.Stop)
	root := t.TempDir()
	d := docker.New(docker.Config{Program: os.Executable, Root: root, Image: enginetest.Image, Getenv: func(name string) string {
		return map[string]string{"DOCKER_HOST": "unix://" + e.Socket, "BOT_BOTTLE_DOCKER_RUNTIME": runtime}[name]
	}})
	p := backendtest.Plan(root)
	h, err := d.Prepare(limited(t), p)
	must(t, err)
	_, err = d.Launch(limited(t), h)
	must(t, err)
	found, err := e.Client.List(limited(t), "bot-bottle.identity="+string(p.ID))
	must(t, err)
	var pids []int
	for _, c := range found {
		var state struct{ State struct{ Pid int } }
		must(t, e.Call(limited(t), http.MethodGet, "/containers/"+c.ID+"/json", nil, &state))
		pids = append(pids, state.State.Pid)
	}
	if len(pids) != containers {
		t.Fatalf("containers: %v", pids)
	}
	done := d.Done(h)
	must(t, e.Kill())
	select {
	case <-done:
	case <-time.After(mux.Silence * 2):
		t.Fatal("the owner was not told")
	}
	if _, err := d.Exec(limited(t), h, backend.Command{Args: []string{"true"}}, backend.Stdio{}); err == nil {
		t.Error("a command ran without an engine")
	}
	for _, pid := range pids {
		gone(t, pid)
	}
	if err := d.Teardown(limited(t), h); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Teardown: %v", err)
	}
	if entries, err := d.List(limited(t)); err != nil || len(entries) != 0 {
		t.Errorf("without an engine: %v, %v", entries, err)
	}
	if _, err := os.Stat(p.Paths.Home); err != nil {
		t.Errorf("the home went with it: %v", err)
	}
}

// gone waits for the end of a process that is not our child.
func gone(t *testing.T, pid int) {
	t.Helper()
	process, err := os.FindProcess(pid) // by pidfd, so it is this one
	if errors.Is(err, os.ErrProcessDone) {
		return
	}
	must(t, err)
	deadline := time.Now().Add(mux.Silence * 2)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/stat", pid)); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("process %d of the bottle goes on", pid)
			_ = process.Kill()
			return
		}
		<-tick.C
	}
}
