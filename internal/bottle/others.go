package bottle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// find returns the handle of a running bottle, in whichever process it was started.
func (d Deps) find(ctx context.Context, id instance.ID) (backend.Handle, error) {
	entries, err := d.Driver.List(ctx)
	if err != nil {
		return backend.Handle{}, err
	}
	for _, e := range entries {
		if e.Handle.ID == id && e.Running {
			return e.Handle, nil
		}
	}
	run, err := d.Home.Find(id)
	if err != nil {
		return backend.Handle{}, err
	}
	hint := "bot-bottle list shows what runs"
	if run.Preserved() {
		hint = "start it again with bot-bottle resume " + string(id)
	}
	return backend.Handle{}, fault.WithHint(fault.New(fault.NotFound, "%q is not running", id), "%s", hint)
}

// Operate speaks to the sidecar of a running bottle, as an operator.
func (d Deps) Operate(ctx context.Context, id instance.ID) (net.Conn, error) {
	h, err := d.find(ctx, id)
	if err != nil {
		return nil, err
	}
	operable, ok := d.Driver.(backend.Operable)
	if !ok {
		return nil, fault.New(fault.Unsupported, "backend %s lets nobody but its owner speak to a sidecar", d.Driver.Name())
	}
	return operable.Operate(ctx, h)
}

// Attach joins the agent's terminal.
func (d Deps) Attach(ctx context.Context, id instance.ID, stdio backend.Stdio) (backend.Exit, error) {
	h, err := d.find(ctx, id)
	if err != nil {
		return backend.Exit{}, err
	}
	return d.Driver.Attach(ctx, h, stdio)
}

// Exec runs one more command in a running bottle, with the environment of every bottle; the
// values of forwarded and asked variables stay with the agent. Without a directory it starts where
// the agent did.
func (d Deps) Exec(ctx context.Context, id instance.ID, c backend.Command, term string, stdio backend.Stdio) (backend.Exit, error) {
	h, err := d.find(ctx, id)
	if err != nil {
		return backend.Exit{}, err
	}
	c.Env = joined(base(term))
	if rec, err := d.Home.Run(id).ReadRecord(); err == nil && c.Dir == "" && rec.CopyCwd {
		c.Dir = plan.Workspace
	}
	return d.Driver.Exec(ctx, h, c, stdio)
}

// Stop ends a running bottle: the agent is asked, then killed after grace, and its owner settles.
// When the owner is gone, what is left is torn down here.
func (d Deps) Stop(ctx context.Context, id instance.ID, grace time.Duration) error {
	h, err := d.find(ctx, id)
	if err != nil {
		return err
	}
	run := d.Home.Run(id)
	for _, signal := range []string{"TERM", "KILL"} {
		if err := d.Driver.Signal(ctx, h, signal); err != nil && !fault.Is(err, fault.NotFound) {
			break // it does not answer: tear it down
		}
		settled, err := released(ctx, run, grace)
		if err != nil || settled {
			return err
		}
	}
	return d.Driver.Teardown(ctx, h)
}

// released waits until no process owns the run.
func released(ctx context.Context, run *store.Run, limit time.Duration) (bool, error) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if !run.Running() {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-deadline.C:
			return false, nil
		case <-tick.C:
		}
	}
}

// State is one bottle as list and cleanup see it.
type State struct {
	ID        instance.ID
	Record    store.Record
	Broken    error // the record cannot be read
	Running   bool
	Owned     bool // by a process that lives
	Preserved bool
	Leftover  []string // what the backend still has of it
	Committed bool     // commit kept a copy of it
}

// States returns every bottle of the home and of the backend, running and kept, in order of name.
func (d Deps) States(ctx context.Context) ([]State, error) {
	ids, err := d.Home.Runs()
	if err != nil {
		return nil, err
	}
	entries, lerr := d.Driver.List(ctx)
	byID := map[instance.ID]*State{}
	var order []instance.ID
	add := func(id instance.ID) *State {
		s := byID[id]
		if s == nil {
			s = &State{ID: id}
			byID[id] = s
			order = append(order, id)
		}
		return s
	}
	for _, id := range ids {
		s, run := add(id), d.Home.Run(id)
		s.Record, s.Broken = run.ReadRecord()
		s.Owned, s.Preserved = run.Running(), run.Preserved()
		s.Running = s.Owned
	}
	for _, e := range entries {
		s := add(e.Handle.ID)
		s.Running = s.Running || e.Running
		s.Leftover = e.What
	}
	out := make([]State, len(order))
	for i, id := range order {
		out[i] = *byID[id]
	}
	return out, lerr
}

// Remove takes away everything of the named bottles, and nothing of others. One that runs is
// fault.Busy, and one that is being removed cannot start meanwhile. It does every one, then reports.
func (d Deps) Remove(ctx context.Context, ids []instance.ID) error {
	return d.remove(ctx, ids, (*store.Run).Remove)
}

// Tidy takes away what the backend has of the named bottles, which nobody owns, and leaves their
// state to a resume.
func (d Deps) Tidy(ctx context.Context, ids []instance.ID) error {
	return d.remove(ctx, ids, func(*store.Run) error { return nil })
}

func (d Deps) remove(ctx context.Context, ids []instance.ID, state func(*store.Run) error) error {
	var errs []error
	mine := map[instance.ID]*store.Run{}
	defer func() {
		for _, run := range mine {
			run.Unlock()
		}
	}()
	for _, id := range ids {
		run := d.Home.Run(id)
		if err := run.Lock(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot remove %q: %w", id, err))
			continue
		}
		mine[id] = run
	}
	if _, err := d.Driver.Cleanup(ctx, func(id instance.ID) bool { return mine[id] == nil }); err != nil {
		errs = append(errs, err)
	}
	for _, run := range mine {
		errs = append(errs, state(run))
	}
	return errors.Join(errs...)
}
