package docker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// program finds the file that runs in the containers: this program, where the engine's Linux runs the
// same machine code; else, as the engine is in a virtual machine, the one for it lies beside this one.
func (d *Driver) program(ctx context.Context, e *engine.Client) (string, error) {
	own, err := d.Program()
	if err != nil {
		return "", fault.New(fault.Internal, "cannot find this program: %w", err)
	}
	info, err := d.info(ctx, e)
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "linux" && machine(info.Architecture) == runtime.GOARCH {
		return own, nil
	}
	return beside(own, info.Architecture)
}

// info is what the engine says of itself, asked once.
func (d *Driver) info(ctx context.Context, e *engine.Client) (engine.Info, error) {
	if known := d.about.Load(); known != nil {
		return *known, nil
	}
	info, err := e.Info(ctx)
	if err != nil {
		return info, err
	}
	d.about.Store(&info)
	return info, nil
}

// machine is Go's word for an architecture, of which engines have one or another; "" for one that
// there is no program for.
func machine(architecture string) string {
	return map[string]string{"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[architecture]
}

// beside names the program for Linux of an architecture, in the words of an engine.
func beside(own, architecture string) (string, error) {
	arch := machine(architecture)
	if arch == "" {
		return "", fault.New(fault.Unsupported, "cannot hold a bottle: the engine runs on %q, for which there is no program", architecture)
	}
	if real, err := filepath.EvalSymlinks(own); err == nil {
		own = real
	}
	path := filepath.Join(filepath.Dir(own), "bot-bottle-linux-"+arch)
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		return "", fault.WithHint(fault.New(fault.Unavailable, "cannot find the program for the engine: %w", err),
			"put bot-bottle-linux-%s of the same release beside %s; `make release` builds both", arch, own)
	}
	return path, nil
}
