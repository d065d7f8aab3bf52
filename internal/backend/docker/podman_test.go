package docker_test

import (
	"errors"
	"os"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
)

// TestContractInPodman is the suite in Podman's containers. It takes minutes, so that `make podman` asks
// for it by name.
func TestContractInPodman(t *testing.T) {
	if os.Getenv("BOT_BOTTLE_TEST_PODMAN") == "" {
		need.Require(t, need.Podman, errors.New("make podman asks for it"))
	}
	e, err := enginetest.StartPodman()
	need.Require(t, need.Podman, err)
	t.Cleanup(e.Stop)
	o := contract()
	o.HostTried = "TestContract does, with the same driver"
	o.HostCgroups = "Podman makes no cgroup namespace on cgroup v1, whatever it is asked for"
	backendtest.Run(t, func(t *testing.T, root string) backend.Driver {
		t.Helper()
		return docker.New(docker.Config{Program: os.Executable, Root: root, Image: enginetest.Image, Getenv: func(name string) string {
			return map[string]string{"DOCKER_HOST": "unix://" + e.Socket}[name]
		}})
	}, o)
}
