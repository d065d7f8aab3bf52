package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func (a *App) commitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "commit <identity>",
		Short: "Keep a bottle's file system as it is now",
		Long: "commit copies the file system of a bottle, running or kept, to where it outlives the run. A running one is\n" +
			"stopped for as long as that takes, and goes on. `resume` starts from the copy when the run itself is gone, and\n" +
			"`start --from` makes other bottles from it, as often as you like. An earlier copy of the bottle is replaced.\n\n" +
			"Exit codes: 0 ok; 10 no such bottle; 11 another command holds it.",
		Example: "  bot-bottle commit claude-x7k2p\n  bot-bottle start --from claude-x7k2p",
		Args:    exactly("<identity>"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			id, err := identity(c, args[0])
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
			return a.commit(ctx, c, home, run)
		},
	}
}

func (a *App) commit(ctx context.Context, c *cobra.Command, home *store.Home, run *store.Run) (err error) {
	if run.Running() {
		thaw, err := a.still(ctx, c, string(run.ID))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, thaw()) }()
	} else {
		if err := run.Lock(); err != nil {
			return err
		}
		defer run.Unlock()
	}
	f, left, err := home.Freeze(ctx, run)
	if err != nil {
		return err
	}
	for _, what := range left {
		a.say("not kept: %s", quoted(what))
	}
	a.say("kept %s: %d files, %.1f MB", f.Identity, f.Files, float64(f.Bytes)/1e6)
	_, err = fmt.Fprintln(a.Out, f.Identity)
	return err
}

// wakes has the shell do so, too, when it is told to end: that is how a guest ends the command of a
// process that is gone.
const wakes = "trap 'kill -CONT -1; exit' TERM HUP"

// still stops every process of a running bottle but its init and a shell that wakes them again: when
// told to, or when this process is gone.
func (a *App) still(ctx context.Context, c *cobra.Command, name string) (thaw func() error, err error) {
	in, tell := io.Pipe()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := a.inBottle(context.WithoutCancel(ctx), c, name, func(d bottle.Deps, id instance.ID) (backend.Exit, error) {
			return d.Exec(context.WithoutCancel(ctx), id, backend.Command{
				Args: []string{"/bin/sh", "-c", wakes + "; kill -STOP -1; echo still; read _; kill -CONT -1"}, Size: backend.Size{},
			}, "", backend.Stdio{In: in, Out: out})
		})
		_ = out.CloseWithError(errors.Join(io.EOF, err))
		ended <- err
	}()
	answer := make([]byte, len("still\n"))
	if _, err := io.ReadFull(said, answer); err != nil || string(answer) != "still\n" {
		_ = tell.Close()
		return nil, fault.WithHint(fault.New(fault.Unavailable, "cannot stop what runs in %q: %w", name, errors.Join(err, <-ended)), "stop it with bot-bottle stop %s, then commit it", name)
	}
	return func() error {
		_ = tell.Close()
		go func() { _, _ = io.Copy(io.Discard, said) }()
		if err := <-ended; err != nil {
			return fault.New(fault.Internal, "cannot wake %q: %w", name, err)
		}
		return nil
	}, nil
}

func (a *App) rmCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "rm <identity>…",
		Short: "Remove what was kept of bottles: their state, and their copies by commit",
		Long: "rm removes the kept state of bottles that do not run, and what commit kept of them.\n\n" +
			"Exit codes: 0 done; 10 no such bottle; 11 it runs; 130 declined.",
		Example: "  bot-bottle rm claude-x7k2p\n  bot-bottle rm claude-x7k2p codex-a1b2c --yes",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(c, "%s wants <identity>…", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			home, err := a.home()
			if err != nil {
				return err
			}
			return a.rm(ctx, c, home, args, yes)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (a *App) rm(ctx context.Context, c *cobra.Command, home *store.Home, args []string, yes bool) error {
	states, err := a.states(ctx, home)
	if err != nil {
		return err
	}
	var kept []string
	var frozen []instance.ID
	for _, name := range args {
		id, err := identity(c, name)
		if err != nil {
			return err
		}
		_, ferr := home.Frozen(id)
		there := slices.ContainsFunc(states, func(s bottle.State) bool { return s.ID == id })
		if !there && fault.Is(ferr, fault.NotFound) {
			return fault.WithHint(fault.New(fault.NotFound, "there is no bottle %q", id), "bot-bottle list shows what there is")
		}
		if there {
			kept = append(kept, name)
		}
		if !fault.Is(ferr, fault.NotFound) {
			frozen = append(frozen, id)
		}
	}
	var chosen []bottle.State
	if len(kept) > 0 {
		if chosen, err = removable(c, states, kept, true); err != nil {
			return err
		}
	}
	for _, id := range frozen {
		_, _ = fmt.Fprintf(a.Out, "%s  what commit kept\n", id)
	}
	if len(frozen) > 0 && !yes {
		ok, err := ask(ctx, fmt.Sprintf("remove what was kept of these %d?", len(args)))
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.Canceled, "nothing removed")
		}
		yes = true
	}
	for _, id := range frozen {
		if err := home.Unfreeze(id); err != nil {
			return err
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	return a.cleanup(ctx, home, removal{bottles: chosen, whole: true}, yes, len(states))
}

// origin is where the files of a new bottle come from.
type origin struct {
	record store.Record
	dir    string // laid out like the state of a run
	fill   func(context.Context, *store.Run) error
}

// origin finds what commit kept of an identity, else the state of a run that does not run.
func (a *App) origin(home *store.Home, id instance.ID) (origin, error) {
	f, err := home.Frozen(id)
	if err == nil {
		return origin{f.Record, f.Dir(), f.Thaw}, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return origin{}, err
	}
	run, err := home.Find(id)
	if err != nil {
		return origin{}, err
	}
	if run.Running() {
		return origin{}, fault.WithHint(fault.New(fault.Busy, "cannot start from %q: it is running", id), "keep it as it is first: bot-bottle commit %s", id)
	}
	rec, err := run.ReadRecord()
	return origin{rec, run.Dir(), func(ctx context.Context, to *store.Run) error {
		if err := run.Lock(); err != nil {
			return err
		}
		defer run.Unlock()
		return to.Populate(ctx, run.Paths().Home, run.Dockerfile())
	}}, err
}
