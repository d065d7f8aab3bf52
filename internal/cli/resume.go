package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/operator/inbox"
	"github.com/bot-bottle/bot-bottle/internal/planner"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func (a *App) resumeCommand() *cobra.Command {
	var o startOptions
	c := &cobra.Command{
		Use:   "resume <identity> [-- args…]",
		Short: "Run a kept bottle again, with its files and its session",
		Long: "resume starts the same bottle again from what was recorded, under today's manifests, and lets the\n" +
			"provider go on with its last session.\n\nExit codes: the agent's own; 125 when the resume itself failed; 130 when it was interrupted.",
		Example:     "  bot-bottle resume claude-x7k2p\n  bot-bottle resume claude-x7k2p --headless --prompt 'go on'",
		Annotations: map[string]string{passesThrough: "yes"},
		RunE: func(c *cobra.Command, args []string) error {
			name, rest, err := agentAndArgs(c, args)
			if err != nil {
				return err
			}
			id, err := identity(c, name)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			return interrupted(ctx, a.goingOn(ctx, c, o, a.resume(ctx, c, o, id, rest)))
		},
	}
	o.format = "text"
	c.Flags().BoolVar(&o.dryRun, "dry-run", a.dryRunByDefault(), "show the plan and start nothing")
	a.runFlags(c, &o)
	return c
}

// restart is the end of a run that has what was approved when it is started again.
type restart struct {
	id  instance.ID
	end error
}

func (r *restart) Error() string { return "the bottle wants to start again" }
func (r *restart) Unwrap() error { return r.end }

// goingOn starts a bottle again for as long as it ends for an approved capability, where that was
// asked for; else it passes on how the run ended.
func (a *App) goingOn(ctx context.Context, c *cobra.Command, o startOptions, err error) error {
	for {
		var again *restart
		if !errors.As(err, &again) {
			return err
		}
		if !o.autoResume {
			return again.end
		}
		if o.headless {
			o.prompt = "The capability that you asked for is there now. Go on."
		}
		a.say("starting %s again …", again.id)
		err = a.resume(ctx, c, o, again.id, nil)
	}
}

// identity checks the name of a run that a person typed.
func identity(c *cobra.Command, name string) (instance.ID, error) {
	if name == "" {
		return "", fault.WithHint(usage(c, "want the identity of a bottle"), "bot-bottle list shows what there is")
	}
	id, err := instance.Parse(name)
	if err != nil {
		return "", fault.WithHint(fault.New(fault.NotFound, "there is no bottle %q", name), "bot-bottle list shows what there is")
	}
	return id, nil
}

func (a *App) resume(ctx context.Context, c *cobra.Command, o startOptions, id instance.ID, args []string) error {
	if err := o.check(c); err != nil {
		return err
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	run, rec, origin, err := a.recorded(home, &o, id)
	if err != nil {
		return err
	}
	if run.Running() {
		return fault.WithHint(fault.New(fault.Busy, "cannot resume %q: it is running", id),
			"join it with bot-bottle attach %s, or end it with bot-bottle stop %s", id, id)
	}
	// What was approved and did not reach the state, because its run was cut short.
	if _, err := bottle.ApplyCapabilities(run); err != nil {
		return err
	}
	packages, err := bottle.Packages(run)
	if err != nil {
		return err
	}
	carried, err := inbox.Carried(run)
	if err != nil {
		return err
	}
	lib, cwd, err := a.library(home)
	if err != nil {
		return err
	}
	driver, chosen, err := a.choose(ctx, home, rec.Backend)
	if err != nil {
		return err
	}
	chosen.Reason = "the run's own"
	o.bottles, o.recorded = rec.Bottles, &rec
	host := a.host(home, lib, cwd)
	host.HasSession = func(transcript string) bool { return hasSession(filepath.Join(origin, "home"), transcript) }
	request := planner.Request{
		ID: id, Paths: run.Paths(), Backend: chosen, Agent: rec.AgentName, Bottles: rec.Bottles,
		CopyCwd: rec.CopyCwd, Headless: o.headless, Task: o.prompt, Resume: true, RemoteControl: o.remote, Observe: rec.Observe, Args: args, Origin: origin,
		Packages: packages, Carried: carried,
		Label: rec.Label, Color: rec.Color,
	}
	return a.launch(ctx, o, home, driver, host, request)
}

// recorded is what a resume goes on with: the state of the run, else what commit kept of it.
func (a *App) recorded(home *store.Home, o *startOptions, id instance.ID) (*store.Run, store.Record, string, error) {
	run, err := home.Find(id)
	if fault.Is(err, fault.NotFound) {
		f, ferr := home.Frozen(id)
		if fault.Is(ferr, fault.NotFound) {
			return nil, store.Record{}, "", err
		}
		o.fill = f.Thaw
		return home.Run(id), f.Record, f.Dir(), ferr
	}
	if err != nil {
		return nil, store.Record{}, "", err
	}
	rec, err := run.ReadRecord()
	dir := run.Dir()
	return run, rec, dir, err
}

// hasSession reports whether the provider left a session in a bottle's home to go on with.
func hasSession(home, transcript string) bool {
	if transcript == "" {
		return false
	}
	found := false
	root, err := os.OpenRoot(home)
	if err != nil {
		return false
	}
	defer func() { _ = root.Close() }()
	projects, err := root.Open(filepath.Clean(transcript))
	if err != nil {
		return false
	}
	defer func() { _ = projects.Close() }()
	entries, err := projects.ReadDir(-1)
	for _, e := range entries {
		found = found || e.IsDir() || e.Type().IsRegular()
	}
	return err == nil && found
}
