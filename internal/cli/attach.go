package cli

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func (a *App) attachCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "attach <identity>",
		Short: "Join the terminal of a running agent",
		Long: "attach shows what the agent shows and types what you type. Ctrl-P Ctrl-Q leaves; the agent goes on.\n\n" +
			"Exit codes: the agent's own, 0 after leaving; 125 when the attach itself failed; 130 when it was interrupted.",
		Example: "  bot-bottle attach claude-x7k2p", Args: exactly("<identity>"),
		Annotations: map[string]string{passesThrough: "yes"},
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return interrupted(ctx, a.inBottle(ctx, c, args[0], func(d bottle.Deps, id instance.ID) (backend.Exit, error) {
				stdio := backend.Stdio{In: &detachable{from: a.In}, Out: a.Out, Err: a.Err}
				return a.withConsole(&stdio, func() (backend.Exit, error) { return d.Attach(ctx, id, stdio) })
			}))
		},
	}
}

func (a *App) execCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "exec <identity> [--] command [args…]",
		Short: "Run one more command in a running bottle",
		Long: "exec runs a command as the agent's user, under the same guards. It gets a terminal where you have one.\n\n" +
			"Exit codes: the command's own; 125 when the exec itself failed; 130 when it was interrupted.",
		Example:     "  bot-bottle exec claude-x7k2p -- git status\n  bot-bottle exec claude-x7k2p -- bash",
		Annotations: map[string]string{passesThrough: "yes"},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(c, "want an identity and a command")
			}
			name := args[0]
			// Flags may stand on both sides of the identity, and end at the command.
			if err := c.Flags().Parse(args[1:]); err != nil {
				return mistypedFlag(c, err)
			}
			command := c.Flags().Args()
			if len(command) == 0 {
				return usage(c, "want an identity and a command")
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			return interrupted(ctx, a.inBottle(ctx, c, name, func(d bottle.Deps, id instance.ID) (backend.Exit, error) {
				terminal, size := a.stdio(false)
				cmd := backend.Command{Args: command, Dir: dir, TTY: terminal, Size: size}
				stdio := backend.Stdio{In: a.In, Out: a.Out, Err: a.Err}
				return a.withConsole(&stdio, func() (backend.Exit, error) { return d.Exec(ctx, id, cmd, a.env("TERM"), stdio) })
			}))
		},
	}
	c.Flags().StringVarP(&dir, "workdir", "w", "", "`DIRECTORY` in the bottle (default: the workspace, else the home)")
	c.Flags().SetInterspersed(false)
	return c
}

func (a *App) stopCommand() *cobra.Command {
	var grace time.Duration
	c := &cobra.Command{
		Use:   "stop <identity>…",
		Short: "End running bottles; each is kept for a resume",
		Long: "stop asks the agent to end, kills it when it does not, and waits until its bottle is settled.\n\n" +
			"Exit codes: 0 ended; 1 something failed; 10 no such bottle runs.",
		Example: "  bot-bottle stop claude-x7k2p", Args: atLeastOne,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			for _, name := range args {
				err := a.inBottle(ctx, c, name, func(d bottle.Deps, id instance.ID) (backend.Exit, error) {
					err := d.Stop(ctx, id, grace)
					if err == nil {
						a.say("ended %s", id)
						if d.Home.Run(id).Preserved() {
							a.say("go on with: bot-bottle resume %s", id)
						}
					}
					return backend.Exit{}, err
				})
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().DurationVarP(&grace, "time", "t", 10*time.Second, "how long the agent may take to end by itself")
	return c
}

func atLeastOne(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fault.WithHint(usage(c, "%s wants <identity>", c.CommandPath()), "bot-bottle list shows what there is")
	}
	return nil
}

// inBottle finds the backend of a named run and passes on the exit of what runs there.
func (a *App) inBottle(ctx context.Context, c *cobra.Command, name string, do func(bottle.Deps, instance.ID) (backend.Exit, error)) error {
	id, err := identity(c, name)
	if err != nil {
		return err
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	run, err := home.Find(id)
	if err != nil {
		return err
	}
	rec, err := run.ReadRecord()
	if err != nil {
		return err
	}
	driver, err := named(a.Drivers(home), rec.Backend)
	if err != nil {
		return err
	}
	out, err := do(a.deps(home, driver), id)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && out.Code != 0 {
		return exit{out.Code}
	}
	return err
}

// withConsole gives the caller's terminal to what do runs, and takes it back.
func (a *App) withConsole(stdio *backend.Stdio, do func() (backend.Exit, error)) (backend.Exit, error) {
	if terminal, _ := a.stdio(false); !terminal {
		return do()
	}
	c, err := takeConsole(a.In)
	if err != nil {
		return backend.Exit{}, err
	}
	defer c.release()
	stdio.Resize = c.resizes
	screen := &screen{to: a.Out}
	defer screen.restore()
	stdio.Out = screen
	return do()
}

func (a *App) deps(home *store.Home, driver backend.Driver) bottle.Deps {
	return bottle.Deps{Home: home, Driver: driver, Control: dialControl, Progress: a.say, Gate: startGate}
}

// detachable ends the input at Ctrl-P Ctrl-Q. A Ctrl-P is held back until the next key shows
// whether it was meant for the agent.
type detachable struct {
	from io.Reader
	held bool // a Ctrl-P that the agent has not got
}

func (d *detachable) Read(p []byte) (int, error) {
	const ctrlP, ctrlQ = 0x10, 0x11
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	for {
		off := 0
		if d.held {
			p[0], off = ctrlP, 1
		}
		n, err := d.from.Read(p[off:])
		if n == 0 {
			return 0, err
		}
		got := p[:off+n]
		if at := bytes.Index(got, []byte{ctrlP, ctrlQ}); at >= 0 {
			d.held = false
			return at, io.EOF
		}
		if d.held = got[len(got)-1] == ctrlP; d.held {
			got = got[:len(got)-1]
		}
		if len(got) > 0 || err != nil {
			return len(got), err
		}
	}
}
