// Package cli is the command line: one file per command, flags to options to a run.
//
// Its one rule: stdout is the answer, stderr everything else, and an error is presented once,
// here, with what to do next.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// App is the program with everything it takes from outside.
type App struct {
	In       *os.File
	Out, Err io.Writer
	Getenv   func(string) (string, bool)
	Environ  func() []string // nil: no variable is guarded by its prefix
	Version  string
	// Drivers makes the backends, best first; a home tells them where runs lie.
	Drivers   func(*store.Home) []backend.Driver
	Providers []provider.Provider
	// Plugins are the user's own providers; one wins over a built-in of its name.
	Plugins func(*store.Home) []provider.Provider
	// Clock is what the inbox takes for now; nil: time.Now.
	Clock func() time.Time
}

// ownFailure is the exit code of the commands that pass an agent's code through when they fail
// themselves.
const ownFailure = 125

// exit carries a code that is not an error of ours through cobra.
type exit struct{ code int }

func (e exit) Error() string { return fmt.Sprintf("exit %d", e.code) }

// Run executes one command line and returns the exit code.
func (a *App) Run(ctx context.Context, args []string) int {
	root := a.root() //nolint:contextcheck // each command takes the context that cobra hands it
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var code exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return code.code
	}
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		err = fault.New(fault.Canceled, "interrupted")
	}
	a.present(err)
	if cmd != nil && cmd.Annotations[passesThrough] != "" && !fault.Is(err, fault.Canceled) {
		return ownFailure
	}
	return fault.ExitCode(err)
}

// passesThrough marks the commands whose exit code is the agent's.
const passesThrough = "passes-through"

// present writes an error with its hints; a joined error shows each part.
func (a *App) present(err error) {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) && sameText(err, joined.Unwrap()) {
		for _, e := range joined.Unwrap() {
			a.present(e)
		}
		return
	}
	_, _ = fmt.Fprintf(a.Err, "bot-bottle: %s\n", harmless(err.Error()))
	if hint := fault.HintOf(err); hint != "" {
		_, _ = fmt.Fprintf(a.Err, "hint: %s\n", harmless(hint))
	}
}

// harmless is a text as a terminal can stand it: an error may quote what an agent has named.
func harmless(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		fields := strings.Split(l, "\t")
		for j, f := range fields {
			fields[j] = audit.Escape(f, 4096)
		}
		lines[i] = strings.Join(fields, "\t")
	}
	return strings.Join(lines, "\n")
}

// sameText reports whether err is nothing but its parts joined.
func sameText(err error, parts []error) bool {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.Error()
	}
	return err.Error() == strings.Join(texts, "\n")
}

// say writes a line for the person, never part of the answer.
func (a *App) say(format string, args ...any) {
	_, _ = fmt.Fprintln(a.Err, harmless(fmt.Sprintf(format, args...)))
}

func (a *App) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "bot-bottle",
		Short:         "Run any coding agent as if it were compromised, and lose nothing when it is",
		Long:          "bot-bottle runs a coding agent in a sandbox whose only way out is a sidecar that admits\ndeclared destinations and injects credentials the agent never sees.",
		Example:       "  bot-bottle demo                 see every guard at work, no account needed\n  bot-bottle start claude         run Claude Code on a copy of this directory\n  bot-bottle list                 what runs and what was kept",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		Version:       a.Version,

		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetVersionTemplate("bot-bottle {{.Version}}\n")
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(mistypedFlag)
	root.AddCommand(a.startCommand(), a.resumeCommand(), a.attachCommand(), a.execCommand(), a.stopCommand(), a.listCommand(), a.logCommand(), a.routesCommand(), a.statsCommand(), a.diffCommand(), a.pullCommand(), a.commitCommand(), a.rmCommand(),
		a.superviseCommand(),
		a.infoCommand(), a.providerCommand(), a.validateCommand(), a.scanCommand(), a.schemaCommand(), a.initCommand(), a.editCommand(), a.proposalsCommand(), a.cleanupCommand(), a.doctorCommand(), a.demoCommand(),
		a.completionCommand(), a.versionCommand())
	a.complete(root)
	return root
}

func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	near := c.SuggestionsFor(args[0])
	err := usage(c, "there is no command %q", args[0])
	if len(near) > 0 {
		return fault.WithHint(err, "did you mean %q?", near[0])
	}
	return err
}

// mistypedFlag names the flag that is near an unknown one.
func mistypedFlag(c *cobra.Command, err error) error {
	wrong := usage(c, "%v", err)
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return wrong
	}
	flags := &cobra.Command{SuggestionsMinimumDistance: 2} // cobra's measure of nearness is for commands
	c.Flags().VisitAll(func(f *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	if near := flags.SuggestionsFor(unknown.GetSpecifiedName()); len(near) > 0 {
		return fault.WithHint(wrong, "did you mean --%s?", near[0])
	}
	return wrong
}

// usage is an error of the command line itself.
func usage(c *cobra.Command, format string, args ...any) error {
	return fault.WithHint(fault.New(fault.Usage, format, args...), "%s -h shows how it is used", c.CommandPath())
}

// exactly checks the number of arguments and says what they are.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == len(names):
			return nil
		case len(names) == 0:
			return usage(c, "%s takes no argument, got %q", c.CommandPath(), args)
		case len(args) == 0:
			return usage(c, "%s wants %s", c.CommandPath(), strings.Join(names, " "))
		}
		return usage(c, "%s wants %s, got %q", c.CommandPath(), strings.Join(names, " "), args)
	}
}

// atMostOne checks that there is no second argument.
func atMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(c, "%s takes one argument at most, got %q", c.CommandPath(), args)
	}
	return nil
}

func (a *App) env(name string) string {
	v, _ := a.Getenv(name)
	return v
}

func (a *App) home() (*store.Home, error) { return store.Locate(a.env) }

func (a *App) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Example: "  bot-bottle version",
		Long: "version prints which build this is.\n\nExit codes: 0 ok; 2 usage.",
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.Out, "bot-bottle", a.Version)
			return err
		},
	}
}
