package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/planner"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// startOptions are the flags of start and resume.
type startOptions struct {
	dryRun, cwd, remote, yes, headless bool
	json                               bool
	format, backend, label, color      string
	bottles                            []string
	prompt                             string
	observe                            bool
	autoResume                         bool          // after an approved capability
	recorded                           *store.Record // of the run that a resume goes on with
	from, idFile                       string
	fill                               func(context.Context, *store.Run) error // brings the files of a run that goes on elsewhere
}

func (a *App) startCommand() *cobra.Command {
	var o startOptions
	c := &cobra.Command{
		Use:   "start [agent] [-- args…]",
		Short: "Run an agent in a new bottle",
		Long: "start plans the bottle, shows the plan, asks, launches it and attaches the agent. When the agent\n" +
			"ends with 0 and left nothing behind, the bottle is removed; else it is kept for a resume.\n\n" +
			"Exit codes: the agent's own; 125 when the start itself failed; 130 when it was interrupted.",
		Example: "  bot-bottle start claude\n  bot-bottle start reviewer --cwd -- --model opus\n" +
			"  bot-bottle start claude --yes --headless --prompt 'fix the tests'\n  bot-bottle start claude --dry-run --format json",
		Annotations: map[string]string{passesThrough: "yes"},
		RunE: func(c *cobra.Command, args []string) error {
			agent, rest, err := agentAndArgs(c, args)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			return interrupted(ctx, a.goingOn(ctx, c, o, a.start(ctx, c, o, agent, rest)))
		},
	}
	f := c.Flags()
	f.BoolVar(&o.dryRun, "dry-run", a.dryRunByDefault(), "show the plan and start nothing")
	f.StringVar(&o.format, "format", "text", "`text|json`, of --dry-run")
	f.BoolVar(&o.cwd, "cwd", false, "bring the current directory in, as workspace: copy")
	f.StringVar(&o.backend, "backend", "", "the backend `NAME` that holds the bottle")
	f.StringArrayVar(&o.bottles, "bottle", nil, "use the bottle `NAME` instead of the agent's, or ? to choose one; repeat to merge several")
	f.BoolVar(&o.observe, "observe", false, "refuse nothing that a route could allow, and record it; without any credential")
	f.StringVar(&o.label, "label", "", "a `NAME` for people, shown by list")
	f.StringVar(&o.color, "color", "", "a `COLOUR` for people, shown by list")
	f.StringVar(&o.from, "from", "", "with the files of the bottle `IDENTITY`, as commit kept them or as they are")
	a.runFlags(c, &o)
	return c
}

// dryRunByDefault reports whether the environment asks for a dry run. What cannot be read as "no"
// is a yes: who set the variable did not want a start.
func (a *App) dryRunByDefault() bool {
	v := a.env("BOT_BOTTLE_DRY_RUN")
	on, err := strconv.ParseBool(v)
	return v != "" && (err != nil || on)
}

// runFlags are those that start and resume share.
func (a *App) runFlags(c *cobra.Command, o *startOptions) {
	f := c.Flags()
	f.BoolVar(&o.remote, "remote-control", false, "let the provider's own remote control reach the agent")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.headless, "headless", false, "no terminal, no question; needs --prompt")
	f.BoolVar(&o.json, "json", false, "print the result of a headless run as JSON, with what the agent said")
	f.BoolVar(&o.autoResume, "auto-resume", false, "start again by itself when the operator has approved a capability")
	f.StringVar(&o.idFile, "id-file", "", "write the identity to this `FILE` before the bottle is made")
	f.StringVar(&o.prompt, "prompt", "", "the task of a headless run, as `TEXT`")
}

// agentAndArgs splits what stands before and after "--".
func agentAndArgs(c *cobra.Command, args []string) (string, []string, error) {
	dash := c.ArgsLenAtDash()
	before, after := args, []string(nil)
	if dash >= 0 {
		before, after = args[:dash], args[dash:]
	}
	switch len(before) {
	case 0:
		return "", after, nil
	case 1:
		return before[0], after, nil
	}
	return "", nil, usage(c, "want one agent, got %q; arguments for the agent go after --", before)
}

func (o startOptions) check(c *cobra.Command) error {
	switch {
	case o.format != "text" && o.format != "json":
		return usage(c, "there is no format %q: want text or json", o.format)
	case o.format == "json" && !o.dryRun:
		return fault.WithHint(usage(c, "--format json needs --dry-run: a started agent owns stdout"), "the result of a headless run: --headless --json")
	case !provider.ValidLabel(o.label):
		return usage(c, "--label wants at most %d printable characters", provider.MaxLabel)
	case o.color != "" && provider.ColorCode(o.color) == "":
		return usage(c, "there is no colour %q: want #rrggbb or one of %s", o.color, strings.Join(provider.Colors(), ", "))
	case o.json && (!o.headless || o.dryRun):
		return usage(c, "--json needs --headless; of a plan, --dry-run --format json")
	case o.headless && o.prompt == "":
		return usage(c, "--headless needs --prompt TEXT: there is nobody to type a task")
	case !o.headless && o.prompt != "":
		return usage(c, "--prompt needs --headless; with a terminal, type the task")
	}
	return nil
}

func (a *App) start(ctx context.Context, c *cobra.Command, o startOptions, agent string, args []string) error {
	if err := o.check(c); err != nil {
		return err
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	lib, cwd, err := a.library(home)
	if err != nil {
		return err
	}
	var from origin
	if o.from != "" {
		if from, err = a.from(c, &o, home, &agent); err != nil {
			return err
		}
	}
	if agent == "" {
		if agent, err = a.pick(ctx, c, "agent", lib.Names(manifest.KindAgent)); err != nil {
			return err
		}
	}
	if _, err := lib.Agent(agent); err != nil {
		return err
	}
	for i, name := range o.bottles {
		if name != "?" {
			continue
		}
		if o.bottles[i], err = a.pick(ctx, c, "bottle", lib.Names(manifest.KindBottle)); err != nil {
			return err
		}
	}
	driver, chosen, err := a.choose(ctx, home, o.backend)
	if err != nil {
		return err
	}
	if o.label, err = a.label(home, o.label); err != nil {
		return err
	}
	id := instance.New(agent)
	request := planner.Request{
		ID: id, Paths: home.Run(id).Paths(), Backend: chosen, Agent: agent, Bottles: o.bottles,
		CopyCwd: o.cwd, Headless: o.headless, Task: o.prompt, RemoteControl: o.remote, Observe: o.observe, Args: args,
		Label: o.label, Color: o.color,
	}
	host := a.host(home, lib, cwd)
	if o.from != "" {
		request.Resume, request.Origin, request.CopyCwd = true, from.dir, from.record.CopyCwd
		host.HasSession = func(transcript string) bool { return hasSession(filepath.Join(from.dir, "home"), transcript) }
	}
	return a.launch(ctx, o, home, driver, host, request)
}

// from finds what a new bottle starts with, and takes over what the command line does not say.
func (a *App) from(c *cobra.Command, o *startOptions, home *store.Home, agent *string) (origin, error) {
	if o.cwd {
		return origin{}, usage(c, "--cwd does not go with --from: the bottle brings its own workspace")
	}
	id, err := identity(c, o.from)
	if err != nil {
		return origin{}, err
	}
	from, err := a.origin(home, id)
	if err != nil {
		return from, err
	}
	if *agent == "" {
		*agent = from.record.AgentName
	}
	if o.bottles == nil {
		o.bottles = from.record.Bottles
	}
	if o.backend == "" {
		o.backend = from.record.Backend
	}
	o.fill = from.fill
	return from, nil
}

// launch plans, shows, asks and runs. start and resume meet here.
func (a *App) launch(ctx context.Context, o startOptions, home *store.Home, driver backend.Driver, host planner.Host, request planner.Request) error {
	p, err := planner.Make(host, request)
	if err != nil {
		return err
	}
	if o.dryRun {
		return a.dryRun(o, p)
	}
	if err := errors.Join(p.Problems...); err != nil {
		return err
	}
	if !o.headless || !o.yes {
		if err := planner.Preflight(a.Err, p.Plan); err != nil {
			return err
		}
	}
	if err := a.consent(ctx, o, p); err != nil {
		return err
	}
	if p.Plan.Egress.Observe {
		a.say("%s", planner.Observing)
	}
	if p.Install != nil {
		if err := a.install(ctx, home, *p.Install); err != nil {
			return err
		}
		if p, err = planner.Make(host, request); err != nil {
			return err
		}
	}
	if again, err := a.renewed(ctx, p); err != nil {
		return err
	} else if again {
		if p, err = planner.Make(host, request); err != nil {
			return err
		}
	}
	return a.run(ctx, o, home, driver, p)
}

// consent asks once for everything that the preflight shows. A headless run is not asked, but an
// install from the network needs its --yes.
func (a *App) consent(ctx context.Context, o startOptions, p *planner.Planned) error {
	if o.yes {
		return nil
	}
	if o.headless {
		if p.Install == nil {
			return nil
		}
		return fault.WithHint(fault.New(fault.NotFound, "%s is not installed", p.Install.Command),
			"add --yes to install %s from npm, or install it yourself", p.Install.NPM)
	}
	ok, err := ask(ctx, "start this bottle?")
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Canceled, "not started")
	}
	return nil
}

func (a *App) dryRun(o startOptions, p *planner.Planned) error {
	if o.format == "json" {
		enc := json.NewEncoder(a.Out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(p.Plan); err != nil {
			return err
		}
	} else if err := planner.Preflight(a.Out, p.Plan); err != nil {
		return err
	}
	return errors.Join(p.Problems...)
}

// run hands a plan with its values to the bottle and reports how it ended.
func (a *App) run(ctx context.Context, o startOptions, home *store.Home, driver backend.Driver, p *planner.Planned) error {
	v, err := a.values(ctx, home, p)
	if err != nil {
		return err
	}
	key, err := home.Key()
	if err != nil {
		return err
	}
	keys, err := a.keys(ctx, home, p.Plan.Git.Repos)
	if err != nil {
		return err
	}
	signKey, err := signKey(p.Plan.Git.Sign)
	if err != nil {
		return err
	}
	told, err := a.newTeller(ctx, home)
	if err != nil {
		return err
	}
	terminal, size := a.stdio(o.headless)
	var taken *console
	screen, res := &screen{to: a.Out}, newResult(p.Plan)
	l := bottle.Launch{
		Plan: p.Plan, Record: record(p, o), Env: v.env, Tokens: v.tokens, Keys: keys, SignKey: signKey, Guarded: a.sensitive(), Key: key, Transcript: p.Transcript, Fill: o.fill,
		Owned: func() error { return noteIdentity(o.idFile, p.Plan.ID) },
		Fresh: func(ctx context.Context) (map[string]secret.String, error) {
			return a.deploy(ctx, home, p.Plan.ID, p.Plan.Git.Repos)
		},
		Revoke:   func(ctx context.Context) error { return a.revoke(ctx, home, p.Plan.ID) },
		Beside:   a.keepLogin(p, v.login),
		Ended:    func() { res.read(context.WithoutCancel(ctx), p.Plan.Paths.Audit) },
		Terminal: terminal, Size: size, Term: a.env("TERM"),
		Streams: func(t bottle.Timing) (backend.Stdio, error) {
			a.traceTiming(t)
			told.begin(ctx, home, p.Plan.ID)
			stdio := backend.Stdio{Out: a.Out, Err: a.Err}
			if o.json {
				stdio.Out = res.output()
			}
			if !o.headless {
				stdio.In = a.In
			}
			if terminal {
				var err error
				if taken, err = takeConsole(a.In); err != nil {
					return stdio, err
				}
				stdio.Resize, stdio.Out = taken.resizes, screen
			}
			return stdio, nil
		},
	}
	out, err := a.deps(home, driver).Start(ctx, l)
	err = interrupted(ctx, err)
	if taken != nil {
		screen.restore()
		taken.release()
	}
	told.end(a)
	if o.json {
		res.end(out, err)
		err = errors.Join(err, a.json(res))
	}
	return a.report(p, out, err)
}

// noteIdentity writes the run's name where a program reads it before the run ends.
func noteIdentity(file string, id instance.ID) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, id)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fault.New(fault.Invalid, "cannot write the identity to %s: %w", file, err)
	}
	return nil
}

// report says how a run ended and what was kept of it.
func (a *App) report(p *planner.Planned, out bottle.Outcome, err error) error {
	if out.Kept {
		a.say("kept %s: %s; go on with: bot-bottle resume %s", p.Plan.ID, out.Why, p.Plan.ID)
	}
	if out.Kept && out.Log.Count > 0 {
		a.say("its log is sealed: %d lines, the last is %.16s", out.Log.Count, out.Log.Hash)
	}
	if err == nil && out.Exit.Code != 0 {
		err = exit{out.Exit.Code}
	}
	if out.Restart {
		return &restart{p.Plan.ID, err}
	}
	return err
}

func record(p *planner.Planned, o startOptions) store.Record {
	if o.recorded != nil {
		r := *o.recorded
		r.StartedAt = time.Now().UTC()
		return r
	}
	w := p.Plan.Workspace
	r := store.Record{
		Identity: p.Plan.ID, AgentName: p.Plan.Agent, Bottles: o.bottles, Cwd: w.HostPath, CopyCwd: w.Path != "",
		StartedAt: time.Now().UTC(), ComposeProject: "bot-bottle-" + string(p.Plan.ID), Backend: p.Plan.Backend.Name,
		Label: p.Plan.Label, Color: p.Plan.Color, Observe: p.Plan.Egress.Observe,
	}
	if r.Bottles == nil {
		r.Bottles = []string{}
	}
	return r
}
