package native

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/host"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/undo"
)

// unwindLimit bounds the clean-up of a start that failed.
const unwindLimit = 15 * time.Second

// Prepare implements backend.Lifecycle.
func (d *Driver) Prepare(ctx context.Context, p *plan.Plan) (h backend.Handle, err error) {
	if err := ctx.Err(); err != nil {
		return h, err
	}
	if err := check(p, features(ownControllers())); err != nil {
		return h, err
	}
	l := &life{id: p.ID, run: p.Paths.Run, done: make(chan struct{})}
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
	ids, err := d.ground(l, p, &undone)
	if err != nil {
		return h, err
	}
	toSidecar, err := d.populate(l, p, ids, &undone)
	if err != nil {
		return h, err
	}
	defer toSidecar.Close()
	if err := connect(ctx, l, toSidecar); err != nil {
		return h, err
	}
	if h, err = handle(p.ID, l.run); err != nil {
		return h, err
	}
	l.watch() //nolint:contextcheck // it watches after Prepare has returned
	undone.Commit()
	return h, nil
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

// ground makes the directories of a run and locks them. What a run that died left is removed.
func (d *Driver) ground(l *life, p *plan.Plan, undone *undo.Stack) (ids, error) {
	var none ids
	if err := os.MkdirAll(l.run, 0o700); err != nil {
		return none, fmt.Errorf("cannot make %s: %w", l.run, err)
	}
	lock, err := takeLock(l.run, p.ID)
	if err != nil {
		return none, err
	}
	l.lock = lock
	undone.Push("the run directory", func(context.Context) error {
		defer lock.release()
		return removeRun(l.run)
	})
	if old, err := readRecord(l.run); err == nil && (old.Guest.alive() || old.Sidecar.alive()) {
		undone.Commit() // it is another's
		lock.release()
		d.forget(l)
		return none, fault.WithHint(fault.New(fault.Exists, "cannot prepare %q: processes of an earlier run are still there", p.ID),
			"run bot-bottle cleanup")
	}
	return d.home(p)
}

// populate starts the two processes of a bottle and tells the guest what it is made of. It returns
// the socket on which the sidecar waits for its listeners.
func (d *Driver) populate(l *life, p *plan.Plan, who ids, undone *undo.Stack) (toSidecar *net.UnixConn, err error) {
	// The groups go last: the kernel removes none that has a process.
	undone.Push("the processes", func(ctx context.Context) error {
		err := l.end(ctx)
		l.owner.close()
		return errors.Join(err, removeCgroups(ctx, l.cgroups))
	})
	view, err := newView(p, d.self[0], who.root)
	if err != nil {
		return nil, err
	}
	defer view.close()
	var start errgroup.Group
	start.Go(func() (err error) {
		toSidecar, err = d.startSidecar(l, p)
		return err
	})
	start.Go(func() error { return d.startGuest(l, who, view) })
	if err := start.Wait(); err != nil {
		if toSidecar != nil {
			_ = toSidecar.Close()
		}
		return nil, err
	}
	if err := d.confine(l, p); err != nil {
		_ = toSidecar.Close()
		return nil, err
	}
	r := record{ID: l.id, Guest: l.guest.process, Sidecar: l.sidecar.process, Cgroups: l.cgroups, Started: time.Now().UTC()}
	if err := errors.Join(r.write(l.run), l.owner.send(view.setup)); err != nil {
		_ = toSidecar.Close()
		return nil, fmt.Errorf("cannot set up %q: %w", l.id, err)
	}
	return toSidecar, nil
}

func (d *Driver) startSidecar(l *life, p *plan.Plan) (toSidecar *net.UnixConn, err error) {
	control, theirControl, err := pair(unix.SOCK_STREAM, "control")
	if err != nil {
		return nil, err
	}
	defer theirControl.Close()
	l.control = control
	toSidecar, theirListeners, err := pair(unix.SOCK_STREAM, "listeners")
	if err != nil {
		return nil, err
	}
	defer theirListeners.Close()
	audit, err := os.OpenFile(p.Paths.Audit, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return toSidecar, fmt.Errorf("cannot open the audit log: %w", err)
	}
	defer audit.Close()
	inbox, err := backend.Journal(p.Paths.Proposals)
	if err != nil {
		return toSidecar, err
	}
	defer inbox.Close()
	status, err := listenIn(l.run, sidecarName)
	if err != nil {
		return toSidecar, err
	}
	defer status.Close()
	files := []*os.File{theirControl, theirListeners, audit, status, inbox}
	l.sidecar, err = d.spawn(l.id, "sidecar", files, &syscall.SysProcAttr{Setsid: true})
	return toSidecar, err
}

func (d *Driver) startGuest(l *life, who ids, v *view) error {
	conn, theirs, err := pair(unix.SOCK_SEQPACKET, "setup")
	if err != nil {
		return err
	}
	defer theirs.Close()
	l.owner = &owner{conn}
	sessions, err := listenIn(l.run, guestName)
	if err != nil {
		return err
	}
	defer sessions.Close()
	files := append([]*os.File{theirs, sessions}, v.files...)
	l.guest, err = d.spawn(l.id, "guest", files, who.namespaces())
	if err != nil {
		return unsupported(err)
	}
	return nil
}

// unsupported explains why this machine makes no namespaces.
func unsupported(err error) error {
	if !refused(err) {
		return err
	}
	err = fault.New(fault.Unsupported, "%w", err)
	if problem, found := host.Gather().Namespaces(); found {
		return fault.WithHint(err, "%s: %s", problem.What, problem.Fix)
	}
	return fault.WithHint(err, "run bot-bottle doctor")
}

// connect waits until the bottle stands and leads its listeners to the sidecar.
func connect(ctx context.Context, l *life, toSidecar *net.UnixConn) error {
	var p wire.Progress
	listeners, err := l.owner.receive(ctx, &p)
	defer closeFiles(listeners)
	if err != nil {
		return fmt.Errorf("cannot build %q: %w", l.id, l.why(err))
	}
	if p.Problem != "" {
		err := fmt.Errorf("cannot build %q: %s", l.id, p.Problem)
		if p.Denied {
			return unsupported(errors.Join(err, unix.EPERM))
		}
		return err
	}
	if len(listeners) != len(p.Listeners) || len(listeners) == 0 {
		return fmt.Errorf("cannot build %q: %d listeners came for %d names", l.id, len(listeners), len(p.Listeners))
	}
	return forward(toSidecar, p.Listeners, listeners)
}

// why adds to the end of a conversation what the guest said when it died.
func (l *life) why(err error) error {
	if l.guest == nil || !errors.Is(err, errEnded) {
		return err
	}
	<-l.guest.done
	if said := l.guest.said.String(); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// watch ends both processes when one of them ends.
func (l *life) watch() {
	l.gone.Go(func() {
		select {
		case <-l.guest.done:
		case <-l.sidecar.done:
		}
		_ = l.end(context.Background())
		close(l.done)
	})
}
