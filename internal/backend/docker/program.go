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

// program finds the file that runs in both containers: this program, where this system is Linux;
// elsewhere the engine lives in a virtual machine, and the program for it lies beside this one.
func (d *Driver) program(ctx context.Context, e *engine.Client) (string, error) {
	own, err := d.Program()
	if err != nil {
		return "", fault.New(fault.Internal, "cannot find this program: %w", err)
	}
	if runtime.GOOS == "linux" {
		return own, nil
	}
	info, err := e.Info(ctx)
	if err != nil {
		return "", err
	}
	return beside(own, info.Architecture)
}

// beside names the program for Linux of an architecture, in the words of an engine.
func beside(own, architecture string) (string, error) {
	names := map[string]string{"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
	arch, known := names[architecture]
	if !known {
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
