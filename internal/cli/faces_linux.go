package cli

import (
	"os"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/native"
	"github.com/bot-bottle/bot-bottle/internal/demo"
	"github.com/bot-bottle/bot-bottle/internal/gate"
	"github.com/bot-bottle/bot-bottle/internal/guest"
	"github.com/bot-bottle/bot-bottle/internal/sidecar"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// runsGate says that the git gate can run beside the command line: its fences are Linux's.
const runsGate = true

// face runs a hidden face of the program, where the first argument names one.
func face(args []string) (code int, hidden bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch args[0] {
	case "guest":
		return guest.Main(args[1:]), true
	case guest.KeygenMode:
		return guest.Keygen(args), true
	case "adversary":
		return demo.Adversary(args[1:]), true
	case "gate":
		return gate.Main(args[1:]), true
	case "sidecar":
		return sidecar.Main(args[1:]), true
	}
	return 0, false
}

// drivers are the backends of this system, the default first.
func drivers(home *store.Home) []backend.Driver {
	return []backend.Driver{
		native.New(native.Config{Self: []string{"/proc/self/exe"}, Root: home.State(), Cache: home.Cache()}),
		docker.New(docker.Config{Program: os.Executable, Root: home.State(), Getenv: os.Getenv, Cache: home.Cache(), Progress: say}),
	}
}
