// Package fake is a backend without a bottle, for tests of what lies above backends.
//
// Its one rule: it keeps the contract of package backend and holds nothing: it must never run what
// it was not told to.
package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// Name of the backend.
const Name = "fake"

// Program stands for a program in the bottle. It ends when its streams or ctx do; ctx ends with
// the bottle, too. Files of the bottle are below home.
type Program func(ctx context.Context, c backend.Command, home string, stdio backend.Stdio) backend.Exit

// Config of a driver. The zero value works.
type Config struct {
	// Programs by name; they are looked for before true, false, echo, cat and sleep.
	Programs map[string]Program
	// Sidecar serves the other end of the control connection. Without it what comes is
	// discarded. The bottle ends when it returns.
	Sidecar func(control net.Conn)
	// Fail, where it returns an error, makes a step fail: "prepare", "launch", "teardown".
	Fail func(step string) error
	// Checks replace the report of the self-check.
	Checks []backend.Check
}

// Driver implements backend.Driver.
type Driver struct {
	config Config

	mu    sync.Mutex // guards lives
	lives map[instance.ID]*life
}

// New makes a driver that holds no bottle yet.
func New(c Config) *Driver { return &Driver{config: c, lives: make(map[instance.ID]*life)} }

var _ backend.Driver = (*Driver)(nil)

// life is one pretended bottle.
type life struct {
	plan    plan.Plan
	started time.Time
	control net.Conn
	ctx     context.Context //nolint:containedctx // of all programs; it ends with the bottle
	end     context.CancelFunc
	done    chan struct{}

	mu       sync.Mutex // guards what follows
	launched bool
	agent    *agent
}

// Name implements backend.Prober.
func (d *Driver) Name() string { return Name }

// Probe implements backend.Prober.
func (d *Driver) Probe(context.Context) (backend.Capabilities, error) {
	return backend.Capabilities{Works: true, Isolation: "none: a fake", Problems: []backend.Problem{}, Features: []string{}}, nil
}

func (d *Driver) fail(step string) error {
	if d.config.Fail == nil {
		return nil
	}
	return d.config.Fail(step)
}

// Prepare implements backend.Lifecycle.
func (d *Driver) Prepare(ctx context.Context, p *plan.Plan) (backend.Handle, error) {
	if err := errors.Join(ctx.Err(), d.fail("prepare")); err != nil {
		return backend.Handle{}, err
	}
	if len(p.Needs) > 0 {
		return backend.Handle{}, fault.New(fault.Unsupported, "cannot prepare %q: a fake has no %q", p.ID, p.Needs[0])
	}
	for _, m := range p.Mounts {
		if _, err := os.Stat(m.HostPath); err != nil {
			return backend.Handle{}, fault.New(fault.NotFound, "cannot mount %s: %w", m.HostPath, err)
		}
	}
	l := &life{plan: *p, started: time.Now().UTC(), done: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lives[p.ID] != nil {
		return backend.Handle{}, fault.New(fault.Exists, "cannot prepare %q: it is running", p.ID)
	}
	if err := ground(p); err != nil {
		return backend.Handle{}, err
	}
	d.begin(l)
	d.lives[p.ID] = l
	return handle(l), nil
}

// ground makes what a real backend leaves on the disk.
func ground(p *plan.Plan) error {
	audit, err := os.OpenFile(p.Paths.Audit, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(p.Paths.State, 0o700); err == nil {
			audit, err = os.OpenFile(p.Paths.Audit, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot open the audit log: %w", err)
	}
	_ = audit.Close()
	return errors.Join(os.MkdirAll(p.Paths.Home, 0o700), os.MkdirAll(p.Paths.Run, 0o700))
}

// begin starts the pretended sidecar, whose end is the bottle's.
func (d *Driver) begin(l *life) {
	ours, theirs := net.Pipe()
	l.control = ours
	l.ctx, l.end = context.WithCancel(context.Background())
	serve := d.config.Sidecar
	if serve == nil {
		serve = func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	}
	go func() {
		defer close(l.done)
		defer l.end()
		defer theirs.Close()
		serve(theirs)
	}()
}

func handle(l *life) backend.Handle {
	data, err := json.Marshal(l.plan.Paths.Run)
	if err != nil { // a string always encodes
		panic(err)
	}
	return backend.Handle{Backend: Name, ID: l.plan.ID, Data: data}
}

func (d *Driver) find(h backend.Handle) (*life, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lives[h.ID]
	if l == nil {
		return nil, fault.New(fault.NotFound, "cannot find %q: it is not running", h.ID)
	}
	return l, nil
}

// Sidecar implements backend.Lifecycle.
func (d *Driver) Sidecar(_ context.Context, h backend.Handle) (net.Conn, error) {
	l, err := d.find(h)
	if err != nil {
		return nil, err
	}
	return l.control, nil
}

// Launch implements backend.Lifecycle.
func (d *Driver) Launch(ctx context.Context, h backend.Handle) (backend.Report, error) {
	l, err := d.find(h)
	if err := errors.Join(err, ctx.Err(), d.fail("launch")); err != nil {
		return backend.Report{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.launched {
		return backend.Report{}, fault.New(fault.Exists, "cannot launch %q: it is launched already", h.ID)
	}
	report := backend.Report{Checks: d.config.Checks}
	if report.Checks == nil {
		report.Checks = []backend.Check{{Name: "nothing", Held: true, How: "a fake has no way out"}}
	}
	for _, c := range report.Checks {
		if !c.Held {
			return report, fault.New(fault.Unsupported, "cannot launch %q: its self-check did not hold: %s: %s", h.ID, c.Name, c.How)
		}
	}
	l.launched = true
	return report, nil
}

// Teardown implements backend.Lifecycle.
func (d *Driver) Teardown(_ context.Context, h backend.Handle) error {
	l, err := d.find(h)
	if err != nil {
		return nil //nolint:nilerr // an unknown handle is success
	}
	_ = l.control.Close()
	l.end()
	<-l.done
	d.mu.Lock()
	delete(d.lives, h.ID)
	d.mu.Unlock()
	return errors.Join(os.RemoveAll(l.plan.Paths.Run), d.fail("teardown"))
}

// Done implements backend.Lifecycle.
func (d *Driver) Done(h backend.Handle) <-chan struct{} {
	if l, err := d.find(h); err == nil {
		return l.done
	}
	over := make(chan struct{})
	close(over)
	return over
}

// List implements backend.Inventory.
func (d *Driver) List(context.Context) ([]backend.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var entries []backend.Entry
	for _, l := range d.lives {
		entries = append(entries, backend.Entry{
			Handle: handle(l), Running: l.ctx.Err() == nil, Started: l.started,
			What: []string{"directory " + l.plan.Paths.Run},
		})
	}
	slices.SortFunc(entries, func(a, b backend.Entry) int { return a.Started.Compare(b.Started) })
	return entries, nil
}

// Cleanup implements backend.Inventory.
func (d *Driver) Cleanup(ctx context.Context, keep func(instance.ID) bool) (backend.Removed, error) {
	removed := backend.Removed{Items: make(map[instance.ID][]string)}
	entries, err := d.List(ctx)
	for _, e := range entries {
		if keep(e.Handle.ID) {
			continue
		}
		err = errors.Join(err, d.Teardown(ctx, e.Handle))
		removed.Items[e.Handle.ID] = e.What
	}
	return removed, err
}

// inside maps a path of the bottle to one of this machine; only the home exists.
func (l *life) inside(path string) (string, bool) {
	rel, err := filepath.Rel(plan.Home, path)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	return rel, true
}
