package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/provider/codex"
	"github.com/bot-bottle/bot-bottle/internal/provider/external"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// say writes a line for the person.
func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Main runs one of the program's faces and returns the exit code. The hidden ones are
// dispatched before anything of the command line is set up.
func Main(args []string, version string) int {
	if code, hidden := face(args); hidden {
		return code
	}
	app := &App{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.LookupEnv, Environ: os.Environ, Version: version,
		Drivers:   drivers,
		Providers: []provider.Provider{claude.Provider{}, codex.Provider{}},
		Plugins:   Plugins,
	}
	return app.Run(context.Background(), args)
}

// Plugins are the programs below the home's providers folder.
func Plugins(home *store.Home) []provider.Provider {
	var all []provider.Provider
	for _, p := range external.Find(providersDir(home), os.Getenv("PATH")) {
		all = append(all, p)
	}
	return all
}
