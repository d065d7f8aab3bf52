package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
)

// podmanSettings name the runtime that was tried, and limits that a caller within limits may give on.
const podmanSettings = `[containers]
default_ulimits = ["nofile=16384:16384", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`

// StartPodman starts Podman's compatible service with all it keeps in one directory, and gives it the
// image.
func StartPodman() (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the image's root file system can only be unpacked by root")
	}
	program, err := exec.LookPath("podman")
	if err != nil {
		return nil, errors.New("there is no podman; run scripts/setup podman")
	}
	e := &Engine{}
	if e.dir, err = os.MkdirTemp("", "bot-bottle-podman-"); err != nil {
		return nil, err
	}
	settings := filepath.Join(e.dir, "containers.conf")
	if err := os.WriteFile(settings, []byte(podmanSettings), 0o600); err != nil {
		return nil, err
	}
	e.Socket = filepath.Join(e.dir, "podman.sock")
	e.cmd = exec.CommandContext(context.Background(), program, "--root", e.dir+"/data", "--runroot", e.dir+"/run", "--tmpdir", e.dir+"/tmp",
		"--storage-driver", "overlay", "system", "service", "-t", "0", "unix://"+e.Socket)
	e.cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+settings)
	log, err := os.Create(filepath.Join(e.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	e.Client = engine.New(e.Socket)
	if err = e.answers(); err == nil {
		err = e.image()
	}
	if err != nil {
		said, _ := os.ReadFile(log.Name())
		e.Stop()
		return nil, fmt.Errorf("podman does not start: %w\n%s", err, said)
	}
	return e, nil
}

// answers waits until the service does.
func (e *Engine) answers() error {
	deadline := time.NewTimer(startLimit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		_, err := e.Client.Info(ctx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return err
		case <-tick.C:
		}
	}
}
