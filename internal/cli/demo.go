package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/demo"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/planner"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func (a *App) demoCommand() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "demo", Short: "See every guard at work, with no account and no network",
		Long: "demo starts a stand-in upstream, writes a bottle, runs a scripted adversary in it, and shows what it\n" +
			"got and what it did not.\n\nExit codes: 0 every guard held; 12 one did not; 13 no backend works.",
		Example: "  bot-bottle demo", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return a.demo(ctx, name)
		},
	}
	c.Flags().StringVar(&name, "backend", "", "the backend `NAME` that holds the bottle")
	return c
}

func (a *App) demo(ctx context.Context, name string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fault.New(fault.Internal, "cannot find this program: %w", err)
	}
	world, err := demo.NewWorld(self) //nolint:contextcheck // its upstream ends with Close
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Close()) }()
	inner := *a
	inner.Getenv = overlay(a.Getenv, map[string]string{
		"BOT_BOTTLE_HOME": world.Home, demo.TokenVariable: world.Token, "PATH": world.Bin, "HOME": filepath.Dir(world.HomeFile),
	})
	home, err := inner.home()
	if err != nil {
		return err
	}
	id := instance.New("demo")
	paths := home.Run(id).Paths()
	inner.Providers = append(inner.Providers[:len(inner.Providers):len(inner.Providers)], demo.Provider{Targets: demo.Targets{
		HomeFile: world.HomeFile,
		Sockets:  []string{filepath.Join(paths.Run, "sidecar.sock"), filepath.Join(paths.Run, "guest.sock")},
	}})
	driver, chosen, err := inner.choose(ctx, home, name)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.Out, "bot-bottle demo: an adversary runs as the agent on the %s backend\n  %s\n\n", chosen.Name, chosen.Isolation)
	lib, _, err := inner.library(home)
	if err != nil {
		return err
	}
	planned, err := planner.Make(inner.host(home, lib, world.Dir), planner.Request{ID: id, Paths: paths, Backend: chosen, Agent: "demo"})
	if err == nil {
		err = errors.Join(planned.Problems...)
	}
	if err != nil {
		return err
	}
	return inner.show(ctx, home, driver, planned, world)
}

// show runs the adversary and prints the verdicts while the audit log is still there.
func (a *App) show(ctx context.Context, home *store.Home, driver backend.Driver, p *planner.Planned, world *demo.World) error {
	var said bytes.Buffer
	var timing bottle.Timing
	v, err := a.values(ctx, home, p)
	if err != nil {
		return err
	}
	l := bottle.Launch{
		Plan: p.Plan, Record: record(p, startOptions{}), Env: v.env, Tokens: v.tokens,
		Streams: func(t bottle.Timing) (backend.Stdio, error) {
			timing = t
			return backend.Stdio{Out: &said, Err: a.Err}, nil
		},
	}
	// The audit log goes with a run that ended well: keep a hold of the file itself.
	log := filepath.Join(world.Dir, "audit.jsonl")
	p.Plan.Paths.Audit = log
	out, err := a.deps(home, driver).Start(ctx, l)
	if err != nil {
		return err
	}
	if out.Exit.Code != 0 {
		return fault.New(fault.Internal, "the adversary itself failed with %d", out.Exit.Code)
	}
	events, err := readAll(ctx, log)
	if err != nil {
		return err
	}
	return a.verdicts(demo.Judge(said.Bytes(), world.Token, world.Allowed.Requests(), events), len(events), timing)
}

func readAll(ctx context.Context, path string) ([]audit.Event, error) {
	var events []audit.Event
	for e, err := range audit.Read(ctx, path, audit.Filter{}, false) {
		if err != nil {
			return nil, fault.New(fault.Internal, "cannot read the log: %w", err)
		}
		events = append(events, e)
	}
	return events, nil
}

func (a *App) verdicts(all []demo.Verdict, events int, t bottle.Timing) error {
	failed := 0
	for _, v := range all {
		mark := "✓"
		if !v.Held {
			mark, failed = "✗", failed+1
		}
		_, _ = fmt.Fprintf(a.Out, "  %s %-46s %s\n", mark, v.What, v.How)
	}
	_, _ = fmt.Fprintf(a.Out, "\n  %d events in the log; the bottle was ready in %d ms, after a self-check of %d attempts\n",
		events, t.Total.Round(time.Millisecond).Milliseconds(), len(t.Checks))
	if failed > 0 {
		return fault.New(fault.Denied, "%d of %d guards did not hold", failed, len(all))
	}
	_, err := fmt.Fprintf(a.Out, "  every guard held\n")
	return err
}

// overlay answers some variables itself.
func overlay(getenv func(string) (string, bool), own map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if v, ok := own[name]; ok {
			return v, true
		}
		return getenv(name)
	}
}
