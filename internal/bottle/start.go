package bottle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/pack"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/store"
	"github.com/bot-bottle/bot-bottle/internal/undo"
)

// Start runs a bottle from nothing, or again where its state is there, until its agent ends, and
// settles it. An error means that the agent did not run or that its end is not known; the outcome
// says what was kept in either case.
func (d Deps) Start(ctx context.Context, l Launch) (Outcome, error) {
	run := d.Home.Run(l.Plan.ID)
	own := run.Own
	if l.goesOn() {
		own = run.Reopen
	}
	if err := own(l.Record); err != nil {
		return Outcome{}, err
	}
	defer run.Unlock()
	if l.Fill != nil {
		if err := l.Fill(ctx, run); err != nil {
			return Outcome{}, errors.Join(err, run.Remove())
		}
	}
	r := &running{Deps: d, Launch: l, run: run, begun: time.Now()}
	var err error
	if r.Owned != nil {
		err = r.Owned()
	}
	if err == nil {
		err = r.fresh(ctx)
	}
	if err != nil {
		rerr := r.revoke(ctx)
		out, serr := r.settle(context.WithoutCancel(ctx), backend.Exit{}, err)
		return out, errors.Join(err, rerr, serr)
	}
	exit, err := r.live(ctx)
	pause("teardown")
	if uerr := r.undo.Unwind(ctx, unwindLimit); uerr != nil && !r.gone {
		err = errors.Join(err, uerr)
	}
	if l.Ended != nil {
		l.Ended()
	}
	rerr := r.revoke(ctx)
	pause("settle")
	out, serr := r.settle(context.WithoutCancel(ctx), exit, err)
	return out, errors.Join(err, rerr, serr)
}

// fresh adds the keys that are made for this run alone.
func (r *running) fresh(ctx context.Context) error {
	if r.Fresh == nil {
		return nil
	}
	made, err := r.Fresh(ctx)
	if err != nil {
		return err
	}
	keys := maps.Clone(r.Keys)
	if keys == nil {
		keys = map[string]secret.String{}
	}
	maps.Copy(keys, made)
	r.Keys = keys
	return nil
}

// revoke takes them back. Whoever resumes the run next has to wait for it.
func (r *running) revoke(ctx context.Context) error {
	if r.Revoke == nil {
		return nil
	}
	return r.Revoke(context.WithoutCancel(ctx))
}

// goesOn reports whether the state of the run is there already.
func (l Launch) goesOn() bool { return l.Plan.Resume && l.Fill == nil }

// running is a run while this process owns it.
type running struct {
	Deps
	Launch
	run     *store.Run
	undo    undo.Stack
	handle  backend.Handle
	sidecar Sidecar
	begun   time.Time
	timing  Timing
	mark    time.Time // changes of the workspace after it are the agent's
	ran     bool      // the agent was started
	gone    bool      // the backend went away below it
	gate    io.Closer // the git gate; nil where there is none
	java    chan made // the trust store of Java, where the host has one
}

// made is a file that is made beside other work.
type made struct {
	file plan.File
	err  error
}

// live goes through the phases; each thing that is made pushes its undo.
func (r *running) live(ctx context.Context) (backend.Exit, error) {
	phases := []struct {
		name string
		took *time.Duration
		do   func(context.Context) error
	}{
		{"prepare", &r.timing.Prepare, r.prepare},
		{"sidecar", &r.timing.Sidecar, r.configure},
		{"self-check", &r.timing.Check, r.check},
		{"provision", &r.timing.Provision, r.provision},
	}
	for _, p := range phases {
		pause(p.name)
		began := time.Now()
		if err := p.do(ctx); err != nil {
			return backend.Exit{}, brokenOff(ctx, err)
		}
		if err := ctx.Err(); err != nil {
			return backend.Exit{}, err
		}
		*p.took = time.Since(began)
	}
	r.timing.Total = time.Since(r.begun)
	pause("agent")
	return r.agent(ctx)
}

// brokenOff is the failure of a phase, which is none where somebody ended it: a connection that is given
// up half-way says many things.
func brokenOff(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func (r *running) prepare(ctx context.Context) error {
	r.mirrors()
	h, err := r.Driver.Prepare(ctx, r.Plan)
	if err != nil {
		return err
	}
	r.handle = h
	r.undo.Push("the bottle", func(ctx context.Context) error { return r.Driver.Teardown(ctx, h) })
	return nil
}

func (r *running) configure(ctx context.Context) error {
	conn, err := r.Driver.Sidecar(ctx, r.handle)
	if err != nil {
		return err
	}
	r.sidecar = r.Control(conn)
	r.undo.Push("the git gate", func(context.Context) error { return r.closeGate() }) // after the sidecar, which ends with it
	r.undo.Push("the sidecar", func(context.Context) error {
		if err := r.sidecar.Close(); !errors.Is(err, net.ErrClosed) { // the backend closes it when the bottle ends
			return err
		}
		return nil
	})
	head, err := r.reopenLog(ctx)
	if err != nil {
		return err
	}
	word := r.gateWord()
	capability := control.Capability{Form: r.Plan.Capability.Form, Dockerfile: r.Plan.Image.Dockerfile, Packages: r.Plan.Capability.Packages}
	config := control.Config{Capability: capability, ID: r.Plan.ID, Egress: r.Plan.Egress, Placeholders: r.Plan.Placeholders, Supervise: r.Plan.Supervise, Audit: head, GitGate: word}
	values := r.secrets(&config)
	gate, err := r.beginGate(ctx, word, values)
	if err != nil {
		return err
	}
	ready, err := r.sidecar.Configure(ctx, config, values)
	told := gate.settle()
	if err != nil {
		err = fmt.Errorf("cannot start the sidecar: %w", err)
		if told != nil { // of two that end together one is the cause, and only that one says why
			err = errors.Join(told, err)
		}
		return err
	}
	r.timing.Fences = ready.Fences
	if told != nil {
		return told
	}
	if err := r.openGate(ctx, gate); err != nil {
		return err
	}
	if hasJava() {
		r.java = make(chan made, 1)
		go func() {
			f, err := javaTrust(ready.CACertificate)
			r.java <- made{f, err}
		}()
	}
	truster, ok := r.Driver.(backend.Truster)
	if !ok {
		return fault.New(fault.Unsupported, "backend %s cannot make a bottle trust its sidecar", r.Driver.Name())
	}
	return truster.Trust(ctx, r.handle, ready.CACertificate)
}

func (r *running) check(ctx context.Context) error {
	report, err := r.Driver.Launch(ctx, r.handle)
	r.timing.Checks = report.Checks
	if err != nil {
		return err
	}
	for _, c := range report.Checks {
		if !c.Held {
			return fault.New(fault.Denied, "cannot launch %q: the self-check found a way out: %s (%s)", r.Plan.ID, c.Name, c.How)
		}
	}
	return nil
}

// agent runs the agent and waits for its end or the bottle's.
func (r *running) agent(ctx context.Context) (backend.Exit, error) {
	if err := r.remember(); err != nil {
		return backend.Exit{}, err
	}
	// From here on a run that is cut short, also by the death of this process, is kept.
	if err := r.run.Preserve("the run was cut short"); err != nil {
		return backend.Exit{}, err
	}
	if err := r.sidecar.Note(ctx, audit.Event{Kind: "lifecycle", Message: audit.AgentStarted}); err != nil {
		return backend.Exit{}, fmt.Errorf("cannot write the audit log: %w", err)
	}
	stdio, err := r.Streams(r.timing)
	if err != nil {
		return backend.Exit{}, err
	}
	ended := r.Driver.Done(r.handle)
	select {
	case <-ended:
		return backend.Exit{}, fault.New(fault.Unavailable, "cannot run the agent of %q: %w", r.Plan.ID, errEnded)
	default:
	}
	r.ran = true
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := make(chan struct{})
	defer func() { cancel(nil); <-watch }()
	go func() {
		defer close(watch)
		select {
		case <-ended:
			cancel(errEnded)
		case <-ctx.Done():
		}
	}()
	beside := r.beside(ctx)
	changes := r.watchCapability(ctx)
	exit, err := r.Driver.Exec(ctx, r.handle, r.command(), stdio)
	beside()
	changes()
	r.farewell(ctx, exit, err)
	if err != nil && (errors.Is(context.Cause(ctx), errEnded) || fault.Is(err, fault.Unavailable)) {
		return exit, r.lost(ctx)
	}
	if cause := ctx.Err(); cause != nil && err == nil {
		return exit, cause
	}
	return exit, err
}

// probeLimit bounds the question whether the backend itself is gone.
const probeLimit = 5 * time.Second

// lost says why a bottle ended below its agent: with its backend, or by itself. What the backend
// holds cannot be undone then, and the same reason would be told again.
func (r *running) lost(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
	defer cancel()
	found, err := r.Driver.Probe(ctx)
	i := slices.IndexFunc(found.Problems, func(p backend.Problem) bool { return p.Required })
	if err != nil || found.Works || i < 0 {
		return fault.New(fault.Unavailable, "cannot go on with %q: %w", r.Plan.ID, errEnded)
	}
	r.gone = true
	return fault.WithHint(fault.New(fault.Unavailable, "cannot go on with %q: its backend is gone: %s", r.Plan.ID, found.Problems[i].What),
		"start the backend again (bot-bottle doctor says whether it works), then go on with: bot-bottle resume %s", r.Plan.ID)
}

// beside starts what runs along with the agent, and returns what ends it.
func (r *running) beside(ctx context.Context) (end func()) {
	if r.Beside == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Beside(ctx, inside{r})
	}()
	return func() {
		cancel()
		<-done
	}
}

// inside implements Inside.
type inside struct{ r *running }

func (i inside) Renew(ctx context.Context, ref string, value secret.String) error {
	// A call that is given up half-way would cost the connection, and with it the end of the log.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return i.r.sidecar.Renew(ctx, ref, value)
}

func (i inside) Write(ctx context.Context, files []plan.File) error { return i.r.write(ctx, files) }

// remember sets the moment after which changes of the workspace are the agent's. A resumed run
// keeps the first one; where it cannot be read, everything counts as changed.
func (r *running) remember() error {
	if r.Plan.Workspace.Path == "" {
		return nil
	}
	if r.goesOn() {
		if raw, err := os.ReadFile(r.run.Mark()); err == nil {
			r.mark, _ = time.Parse(time.RFC3339Nano, strings.TrimSpace(string(raw)))
		}
		return nil
	}
	mark, err := pack.Mark(r.run.Paths().Home)
	if err != nil {
		return err
	}
	r.mark = mark
	return r.run.Write(r.run.Mark(), []byte(mark.Format(time.RFC3339Nano)+"\n"))
}

// farewell closes the audit log's story where the sidecar still lives; without it the log just ends.
func (r *running) farewell(ctx context.Context, exit backend.Exit, err error) {
	select {
	case <-r.Driver.Done(r.handle):
		return // the sidecar is gone with its bottle
	default:
	}
	said := fmt.Sprintf("agent ended with %d", exit.Code)
	if err != nil {
		said = "agent was cut short"
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := r.sidecar.Note(ctx, audit.Event{Kind: "lifecycle", Message: said}); err != nil {
		r.Progress("the audit log ends early: %v", err)
	}
}

var errEnded = errors.New("its bottle or its sidecar has ended")

func (r *running) command() backend.Command {
	c := backend.Command{
		Args: r.Plan.Command.Args, Dir: r.Plan.Command.Dir, Env: r.environment(),
		TTY: r.Terminal, Size: r.Size, Agent: true,
	}
	return c
}
