package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/native"
	"github.com/bot-bottle/bot-bottle/internal/demo"
	"github.com/bot-bottle/bot-bottle/internal/guest"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/sidecar"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// say writes a line for the person.
func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Main runs one of the program's three faces and returns the exit code. The two hidden ones are
// dispatched before anything of the command line is set up.
func Main(args []string, version string) int {
	if len(args) > 0 {
		switch args[0] {
		case "guest":
			return guest.Main(args[1:])
		case "adversary":
			return demo.Adversary(args[1:])
		case "sidecar":
			return sidecar.Main(args[1:])
		}
	}
	app := &App{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.LookupEnv, Version: version,
		Drivers: func(home *store.Home) []backend.Driver {
			return []backend.Driver{
				native.New(native.Config{Self: []string{"/proc/self/exe"}, Root: home.State(), Cache: home.Cache()}),
				docker.New(docker.Config{Program: os.Executable, Root: home.State(), Getenv: os.Getenv, Progress: say}),
			}
		},
		Providers: []provider.Provider{claude.Provider{}},
	}
	return app.Run(context.Background(), args)
}
