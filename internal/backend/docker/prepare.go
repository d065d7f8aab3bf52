package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/undo"
)

// unwindLimit bounds the clean-up of a start that failed.
const unwindLimit = 20 * time.Second

// Prepare implements backend.Lifecycle.
func (d *Driver) Prepare(ctx context.Context, p *plan.Plan) (h backend.Handle, err error) {
	if err := ctx.Err(); err != nil {
		return h, err
	}
	if err := check(p); err != nil {
		return h, err
	}
	e, err := d.engine()
	if err != nil {
		return h, err
	}
	l := &life{id: p.ID, run: p.Paths.Run, engine: e, done: make(chan struct{})}
	if err := d.claim(l); err != nil {
		return h, err
	}
	var undone undo.Stack
	undone.Push("the claim", func(context.Context) error { d.forget(l); return nil })
	defer func() {
		if err != nil {
			err = errors.Join(err, undone.Unwind(ctx, unwindLimit))
		}
	}()
	if err := ground(l, p, &undone); err != nil {
		return h, err
	}
	made, err := d.making()
	if err != nil {
		return h, err
	}
	defer made()
	if err := d.populate(ctx, l, p, &undone); err != nil {
		return h, err
	}
	if h, err = handle(p.ID, l.run); err != nil {
		return h, err
	}
	l.watch()
	undone.Commit()
	return h, nil
}

// check refuses a plan that is not resolved, or needs what is not there, before anything is made.
func check(p *plan.Plan) error {
	if _, err := instance.Parse(string(p.ID)); err != nil {
		return fault.New(fault.Invalid, "cannot prepare a bottle: %w", err)
	}
	for name, path := range map[string]string{"home": p.Paths.Home, "run": p.Paths.Run, "audit": p.Paths.Audit, "proposals": p.Paths.Proposals} {
		if !filepath.IsAbs(path) {
			return fault.New(fault.Invalid, "cannot prepare %q: its %s path %q is not absolute", p.ID, name, path)
		}
	}
	for _, need := range p.Needs {
		if !slices.Contains(features(), need) {
			return fault.WithHint(fault.New(fault.Unsupported, "cannot prepare %q: it needs %q, which this backend cannot give here", p.ID, need),
				"run bot-bottle doctor, or use another backend")
		}
	}
	if err := checkGate(p); err != nil {
		return err
	}
	for _, m := range p.Mounts {
		if !filepath.IsAbs(m.HostPath) || !filepath.IsAbs(m.Path) {
			return fault.New(fault.Invalid, "cannot mount %q at %q: both must be absolute", m.HostPath, m.Path)
		}
		info, err := os.Stat(m.HostPath)
		if errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.NotFound, "cannot mount %s: it does not exist", m.HostPath)
		}
		if err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.HostPath, err)
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			return fault.New(fault.Invalid, "cannot mount %s: it is neither a file nor a directory", m.HostPath)
		}
	}
	return nil
}

// claim reserves the identity within this process; it is fault.Exists when it is taken.
func (d *Driver) claim(l *life) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lives[l.id] != nil {
		return fault.New(fault.Exists, "cannot prepare %q: it is running", l.id)
	}
	d.lives[l.id] = l
	return nil
}

func (d *Driver) forget(l *life) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lives[l.id] == l {
		delete(d.lives, l.id)
	}
}

// ground makes the directories of a run and its audit log, and locks it.
func ground(l *life, p *plan.Plan, undone *undo.Stack) error {
	if err := os.MkdirAll(l.run, 0o700); err != nil {
		return fmt.Errorf("cannot make %s: %w", l.run, err)
	}
	lock, err := takeLock(l.run, p.ID)
	if err != nil {
		return err
	}
	l.lock = lock
	undone.Push("the run directory", func(context.Context) error {
		defer lock.release()
		return removeRun(l.run)
	})
	audit, err := os.OpenFile(p.Paths.Audit, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the audit log: %w", err)
	}
	inbox, ierr := backend.Journal(p.Paths.Proposals)
	if ierr != nil {
		return errors.Join(ierr, audit.Close())
	}
	return errors.Join(audit.Close(), inbox.Close())
}

// populate makes and starts the containers and waits until the bottle stands.
func (d *Driver) populate(ctx context.Context, l *life, p *plan.Plan, undone *undo.Stack) error {
	w, err := home(p)
	if err != nil {
		return err
	}
	if err := furnish(l.run, w); err != nil {
		return err
	}
	if err := d.clear(ctx, l); err != nil {
		return err
	}
	program, image, err := d.own(ctx, l.engine)
	if err != nil {
		return err
	}
	bottled, gated, err := d.madeOf(ctx, l.engine, p, program, image)
	if err != nil {
		return err
	}
	on, err := d.site(ctx, l.engine)
	if err != nil {
		return err
	}
	undone.Push("the containers", l.remove)
	var agentEnd, sidecarEnd net.Conn
	agentSaid, sidecarSaid := &tail{}, &tail{}
	// Neither ends the other early: an engine goes on with what its client gave up, behind our back.
	var work errgroup.Group
	work.Go(func() error {
		spec := agent(p, d.Root, program, bottled, on.memory)
		var err error
		if on.linked() {
			spec, err = l.connectLink(ctx, spec, link(p, d.Root, image), on)
		}
		if err == nil {
			agentEnd, err = d.startAgent(ctx, l, spec, agentSaid)
		}
		if err == nil {
			if l.owner, err = own(agentEnd, agentSaid); err != nil {
				_ = agentEnd.Close()
			}
		}
		return err
	})
	work.Go(func() error {
		var err error
		l.sidecar, err = l.engine.Create(ctx, sidecarName(l.id), sidecar(p, d.Root, image))
		if engine.IsStatus(err, http.StatusConflict) {
			return fault.WithHint(fault.New(fault.Exists, "cannot prepare %q: a sidecar of it is there already", l.id), "run bot-bottle cleanup")
		}
		if err == nil {
			sidecarEnd, err = l.start(ctx, l.sidecar, sidecarSaid)
		}
		if err == nil { // at once: it ends where nobody answers it, and the agent's may take long
			if l.control, err = hold(sidecarEnd, sidecarSaid); err != nil {
				_ = sidecarEnd.Close()
			}
		}
		return err
	})
	work.Go(func() error { return d.startGate(ctx, l, p, gated, on.memory) })
	err = work.Wait()
	if err != nil {
		return fmt.Errorf("cannot make %q: %w", l.id, err)
	}
	return l.connect(ctx, setup(p, w, on.linked()))
}

// own is this program as a file that a container can have, and the image of it alone.
func (d *Driver) own(ctx context.Context, e *engine.Client) (program, image string, err error) {
	if program, err = d.program(ctx, e); err != nil {
		return "", "", err
	}
	image, err = d.sidecarImage(ctx, e, program)
	return program, image, err
}

// madeOf are the images of the agent's container and of the git gate's, "" where there is none.
func (d *Driver) madeOf(ctx context.Context, e *engine.Client, p *plan.Plan, program, own string) (agent, gate string, err error) {
	if agent, err = d.agentImage(ctx, e, p, own); err == nil {
		gate, err = d.gateImage(ctx, e, p, program)
	}
	return agent, gate, err
}

func (d *Driver) startAgent(ctx context.Context, l *life, spec engine.Container, said *tail) (conn net.Conn, err error) {
	if l.agent, err = d.create(ctx, l, spec); err != nil {
		return nil, err
	}
	return l.start(ctx, l.agent, said)
}

// clear removes what a run of this identity that died has left in the engine; one that runs is
// somebody else's.
func (d *Driver) clear(ctx context.Context, l *life) error {
	left, err := d.ours(ctx, l.engine, l.id)
	if err != nil {
		return err
	}
	for _, c := range left.containers {
		if c.State == "running" {
			return fault.WithHint(fault.New(fault.Exists, "cannot prepare %q: its %s of an earlier run is still there", l.id, c.Labels[labelRole]),
				"run bot-bottle cleanup")
		}
	}
	return left.remove(ctx, l.engine)
}

// create makes the agent's container under its name, or the next one that is free.
func (d *Driver) create(ctx context.Context, l *life, spec engine.Container) (string, error) {
	name := d.Getenv("BOT_BOTTLE_CONTAINER")
	pinned := name != ""
	if !pinned {
		name = project(l.id)
	}
	const candidates = 20
	for n := 2; ; n++ {
		id, err := l.engine.Create(ctx, name, spec)
		switch {
		case err == nil:
			return id, nil
		case engine.IsStatus(err, http.StatusNotFound):
			return "", fault.WithHint(fault.New(fault.NotFound, "there is no image %q: %w", spec.Image, err), "pull or build it first")
		case !engine.IsStatus(err, http.StatusConflict):
			return "", err
		case pinned:
			return "", fault.WithHint(fault.New(fault.Exists, "the container %q, which BOT_BOTTLE_CONTAINER names, exists", name),
				"docker rm -f %s, or take BOT_BOTTLE_CONTAINER out of the environment", name)
		case n > candidates:
			return "", fault.New(fault.Exists, "the names %s to %s are all taken", project(l.id), name)
		}
		name = project(l.id) + "-" + strconv.Itoa(n)
	}
}

// start takes a container's streams over and runs it.
func (l *life) start(ctx context.Context, id string, said *tail) (net.Conn, error) {
	conn, err := l.engine.Attach(ctx, id, said)
	if err != nil {
		return nil, err
	}
	if err := l.engine.Start(ctx, id); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// connect waits until the guest has made the network, and lets other processes in.
func (l *life) connect(ctx context.Context, s wire.Setup) error {
	if err := l.owner.send(s); err != nil {
		return fmt.Errorf("cannot set up %q: %w", l.id, l.owner.why(err))
	}
	if err := l.progress(ctx, l.owner, !s.Linked); err != nil {
		return err
	}
	for name, to := range map[string]*mux.Session{guestName: l.owner.outside, statusName: l.control.outside} {
		door, err := openDoor(l.run, name, to)
		if err != nil {
			return err
		}
		l.doors = append(l.doors, door)
	}
	return nil
}

// progress waits until a guest has done its part of the network.
func (l *life) progress(ctx context.Context, o *owner, listens bool) error {
	var p wire.Progress
	if err := o.receive(ctx, &p); err != nil {
		return fmt.Errorf("cannot build %q: %w", l.id, err)
	}
	if p.Problem != "" {
		return fault.WithHint(fault.New(fault.Unsupported, "cannot build %q: %s", l.id, p.Problem), "run bot-bottle doctor")
	}
	if listens && len(p.Listeners) == 0 {
		return fmt.Errorf("cannot build %q: its guest names no listener", l.id)
	}
	return nil
}

// watch ends all containers when one of them ends.
func (l *life) watch() {
	var link, gate <-chan struct{} // without one, never
	if l.linked != nil {
		link = l.linked.outside.CloseChan()
	}
	if l.gated != nil {
		gate = l.gated.outside.CloseChan()
	}
	l.gone.Go(func() {
		select {
		case <-l.owner.outside.CloseChan():
		case <-l.control.over:
		case <-link:
		case <-gate:
		}
		l.hangUp()
		close(l.done)
	})
}
