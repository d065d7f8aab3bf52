package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/fake"
	"github.com/bot-bottle/bot-bottle/internal/cli"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/provider/codex"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"bot-bottle": func() { os.Exit(app()) },
		// alone takes the controlling terminal away first, so that a script never asks the
		// person who runs the tests.
		"alone": func() {
			_, _ = syscall.Setsid()
			os.Exit(app())
		},
	})
}

// app is the command line over a backend that holds nothing.
func app() int {
	a := &cli.App{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.LookupEnv, Environ: os.Environ, Version: "v0-test",
		Drivers:   func(*store.Home) []backend.Driver { return []backend.Driver{fake.New(fake.Config{Fail: holdsNothing})} },
		Providers: []provider.Provider{claude.Provider{}, codex.Provider{}}, Plugins: cli.Plugins,
		Clock: testClock(),
	}
	return a.Run(context.Background(), os.Args[1:])
}

// testClock stands still where a test says so, so that screens are alike each time.
func testClock() func() time.Time {
	at, err := time.Parse(time.RFC3339, os.Getenv("BOT_BOTTLE_TEST_CLOCK"))
	if err != nil {
		return nil
	}
	return func() time.Time { return at }
}

func holdsNothing(step string) error {
	return fault.New(fault.Unavailable, "cannot %s in this test", step)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "user"))
			e.Setenv("HOME_BB", filepath.Join(e.WorkDir, "user", ".bot-bottle"))
			e.Setenv("PATH", filepath.Join(e.WorkDir, "bin")+":"+e.Getenv("PATH"))
			e.Setenv("BOT_BOTTLE_CLAUDE_OAUTH_TOKEN", "tok-"+"real-value")
			return os.MkdirAll(filepath.Join(e.WorkDir, "user"), 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits CODE ARGS… runs the command line and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARGS…")
	}
	ts.Setenv("WANT", args[0])
	err := ts.Exec("sh", append([]string{"-c", `alone "$@"; code=$?; [ $code = $WANT ] || { echo "exit $code, want $WANT" >&2; exit 1; }`, "sh"}, args[1:]...)...)
	ts.Check(err)
}
