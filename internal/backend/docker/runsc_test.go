package docker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/need"
)

// needRunsc goes on where the engine has gVisor's runtime.
func needRunsc(t *testing.T) {
	t.Helper()
	getenv(t)
	need.Require(t, need.Runsc, shared.runsc)
}

func openRunsc(t *testing.T, root string) backend.Driver {
	t.Helper()
	needRunsc(t)
	return docker.New(docker.Config{Program: os.Executable, Root: root, Getenv: onRuntime("runsc"), Image: enginetest.Image})
}

// TestContractUnderGVisor is the suite with the agent in gVisor's kernel.
func TestContractUnderGVisor(t *testing.T) {
	o := contract()
	o.HostTried = "TestContract does, with the same driver"
	o.OwnKernel = "gVisor is a kernel of its own, with fewer lines in /proc/self/status, numbers of its own for namespaces, and no cgroup namespace"
	o.InitTold = "gVisor lets everybody read /proc/1/environ and maps and the numbers of descriptors, and a process kill the init of its own user"
	o.MemoryEnds = "the limit is of gVisor and all in it"
	backendtest.Run(t, openRunsc, o)
}

// TestATrialKnowsGVisor runs one on each runtime: what is not gVisor never passes for it.
func TestATrialKnowsGVisor(t *testing.T) {
	needRunsc(t)
	for runtime, want := range map[string]string{"runsc": wire.TrialHeld, "runc": wire.TrialOther} {
		root := t.TempDir()
		program, err := os.Executable()
		must(t, err)
		var made struct{ ID string }
		must(t, shared.engine.Call(limited(t), http.MethodPost, "/containers/create", map[string]any{
			"Image": enginetest.Image, "Entrypoint": []string{wire.Program}, "Cmd": []string{"guest", wire.TrialMode}, "User": "0:0",
			"AttachStdin": true, "OpenStdin": true, "StdinOnce": true, "AttachStdout": true, "AttachStderr": true,
			"HostConfig": map[string]any{
				"Runtime": runtime, "NetworkMode": "none", "CapDrop": []string{"ALL"}, "CapAdd": []string{"SETUID", "SETGID", "SETPCAP"},
				"Binds": []string{program + ":" + wire.Program + ":ro", root + ":" + wire.HandoverDir + ":ro"},
			},
		}, &made))
		t.Cleanup(func() { must(t, shared.engine.Client.Remove(limited(t), made.ID)) })
		var errs bytes.Buffer
		conn, err := shared.engine.Client.Attach(limited(t), made.ID, &errs)
		must(t, err)
		must(t, shared.engine.Client.Start(limited(t), made.ID))
		said, err := io.ReadAll(conn)
		must(t, errors.Join(err, conn.Close()))
		if !strings.HasPrefix(string(said), want) {
			t.Errorf("%s says %q%s, want %q first", runtime, said, errs.String(), want)
		}
	}
}

// TestAVerdictIsRemembered for a start, and found anew by whoever asks what the machine can do.
func TestAVerdictIsRemembered(t *testing.T) {
	needRunsc(t)
	cache := t.TempDir()
	ask := func(how func(*docker.Driver, context.Context) (backend.Capabilities, error)) string {
		d := docker.New(docker.Config{Program: os.Executable, Root: t.TempDir(), Cache: cache, Getenv: onRuntime(""), Image: enginetest.Image})
		c, err := how(d, limited(t))
		must(t, err)
		return c.Isolation
	}
	if got := ask((*docker.Driver).Remembered); !strings.Contains(got, "gVisor (runsc), kernel ") {
		t.Fatalf("its isolation: %s", got)
	}
	file := filepath.Join(cache, "docker-runsc")
	raw, err := os.ReadFile(file)
	must(t, err)
	about, _, _ := strings.Cut(string(raw), `,"kernel"`)
	must(t, os.WriteFile(file, []byte(about+`,"refused":"as it was remembered"}`), 0o600))
	if got := ask((*docker.Driver).Remembered); !strings.Contains(got, "without gVisor: as it was remembered") {
		t.Errorf("it was tried again: %s", got)
	}
	if got := ask((*docker.Driver).Probe); !strings.Contains(got, "gVisor (runsc)") {
		t.Errorf("it was not tried again: %s", got)
	}
	if got := ask((*docker.Driver).Remembered); !strings.Contains(got, "gVisor (runsc)") {
		t.Errorf("the new verdict is not remembered: %s", got)
	}
}

// TestTheEndOfTheLinkIsTheBottles: without its network nothing of it goes on.
func TestTheEndOfTheLinkIsTheBottles(t *testing.T) {
	b := launch(t, openRunsc)
	found, err := shared.engine.Client.List(limited(t), "bot-bottle.identity="+string(b.p.ID), "bot-bottle.role=link")
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	must(t, shared.engine.Call(limited(t), http.MethodPost, "/containers/"+found[0].ID+"/kill", nil, nil))
	select {
	case <-b.d.Done(b.h):
	case <-limited(t).Done():
		t.Fatal("the bottle goes on")
	}
	if _, err := b.d.Exec(limited(t), b.h, backend.Command{Args: []string{"true"}}, backend.Stdio{}); err == nil {
		t.Error("a command ran without a network")
	}
}
