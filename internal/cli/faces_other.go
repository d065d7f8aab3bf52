//go:build !linux

package cli

import (
	"os"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// runsGate says that the git gate runs in a container alone: its fences are Linux's.
const runsGate = false

// face runs nothing here: the hidden faces are those of the program for Linux, in the containers.
func face([]string) (code int, hidden bool) { return 0, false }

// drivers are the backends of this system.
func drivers(home *store.Home) []backend.Driver {
	return []backend.Driver{docker.New(docker.Config{Program: os.Executable, Root: home.State(), Getenv: os.Getenv, Cache: home.Cache(), Progress: say})}
}
