package native

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// Launch implements backend.Lifecycle.
func (d *Driver) Launch(ctx context.Context, h backend.Handle) (backend.Report, error) {
	var none backend.Report
	l, err := d.mine(h)
	if err != nil {
		return none, err
	}
	trust, err := l.launch()
	if err != nil {
		return none, err
	}
	if err := l.owner.send(wire.Launch{Trust: trust}); err != nil {
		return none, fmt.Errorf("cannot launch %q: %w", h.ID, l.why(err))
	}
	var r wire.Report
	files, err := l.owner.receive(ctx, &r)
	closeFiles(files)
	if err != nil {
		return none, fmt.Errorf("cannot launch %q: %w", h.ID, l.why(err))
	}
	return judge(h, r)
}

func (l *life) launch() (trust string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.launched {
		return "", fault.New(fault.Exists, "cannot launch %q: it is launched already", l.id)
	}
	l.launched = true
	return l.trust, nil
}

// judge turns the guest's report into ours; anything that did not hold is an error.
func judge(h backend.Handle, r wire.Report) (backend.Report, error) {
	var report backend.Report
	if r.Problem != "" {
		return report, fmt.Errorf("cannot seal %q: %s", h.ID, r.Problem)
	}
	var open []string
	for _, c := range r.Checks {
		report.Checks = append(report.Checks, backend.Check(c))
		if !c.Held {
			open = append(open, c.Name+": "+c.How)
		}
	}
	if len(r.Checks) == 0 {
		open = append(open, "nothing was checked")
	}
	if len(open) > 0 {
		return report, fault.New(fault.Unsupported, "cannot launch %q: its self-check did not hold: %s", h.ID, strings.Join(open, "; "))
	}
	return report, nil
}

// sidecarPatience is how long a sidecar may take to end by itself, to finish its log.
const sidecarPatience = time.Second

// Teardown implements backend.Lifecycle.
func (d *Driver) Teardown(ctx context.Context, h backend.Handle) error {
	if l := d.life(h.ID); l != nil {
		return d.teardownOwn(ctx, l)
	}
	run := runOf(h)
	if run == "" {
		return nil
	}
	r, err := readRecord(run)
	if err != nil || r.ID != h.ID {
		return nil //nolint:nilerr // there is nothing of this handle
	}
	return r.remove(ctx, run)
}

func (d *Driver) teardownOwn(ctx context.Context, l *life) error {
	err := l.end(ctx)
	l.gone.Wait()
	l.owner.close()
	err = errors.Join(err, removeCgroups(ctx, l.cgroups), removeRun(l.run))
	l.lock.release()
	d.forget(l)
	if err != nil {
		return fmt.Errorf("cannot tear down %q: %w", l.id, err)
	}
	return nil
}

// end ends both processes: the guest at once, and with it everything in the bottle; the sidecar by
// its lifeline, and by force when it does not follow. What a guest said before it ended can still be
// received: it may be the reason.
func (l *life) end(ctx context.Context) error {
	var errs []error
	if l.guest != nil && !l.guest.ended() {
		errs = append(errs, l.guest.process.kill(ctx))
	}
	if l.owner != nil {
		_ = l.owner.conn.CloseWrite()
	}
	if l.control != nil {
		_ = l.control.Close()
	}
	if l.sidecar != nil {
		timer := time.NewTimer(sidecarPatience)
		defer timer.Stop()
		select {
		case <-l.sidecar.done:
		case <-timer.C:
			errs = append(errs, l.sidecar.process.kill(ctx))
		case <-ctx.Done():
			errs = append(errs, l.sidecar.process.kill(context.WithoutCancel(ctx)))
		}
	}
	return errors.Join(errs...)
}

// remove ends a bottle of another process and removes what is left of it.
func (r record) remove(ctx context.Context, run string) error {
	err := errors.Join(r.Guest.kill(ctx), r.Sidecar.kill(ctx), removeCgroups(ctx, r.Cgroups), removeRun(run))
	if err != nil {
		return fmt.Errorf("cannot tear down %q: %w", r.ID, err)
	}
	return nil
}
