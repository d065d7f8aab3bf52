package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

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
	if trust != "" {
		if err := extendTrust(l.run, trust); err != nil {
			return none, err
		}
	}
	if err := l.owner.send(wire.Launch{}); err != nil {
		return none, fmt.Errorf("cannot launch %q: %w", h.ID, l.owner.why(err))
	}
	var r wire.Report
	if err := l.owner.receive(ctx, &r); err != nil {
		return none, fmt.Errorf("cannot launch %q: %w", h.ID, l.control.why(err))
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
	e, err := d.engine()
	if err != nil {
		return err
	}
	left, err := d.ours(ctx, e, h.ID)
	if err == nil {
		err = left.remove(ctx, e)
	}
	if err = errors.Join(err, removeRun(run)); err != nil {
		return fmt.Errorf("cannot tear down %q: %w", h.ID, err)
	}
	return nil
}

func (d *Driver) teardownOwn(ctx context.Context, l *life) error {
	err := l.remove(ctx)
	l.gone.Wait()
	err = errors.Join(err, removeRun(l.run))
	l.lock.release()
	d.forget(l)
	if err != nil {
		return fmt.Errorf("cannot tear down %q: %w", l.id, err)
	}
	return nil
}

// hangUp closes all lifelines. Each container ends with its own.
func (l *life) hangUp() {
	for _, o := range []*owner{l.owner, l.linked} {
		if o != nil {
			_ = o.outside.Close()
		}
	}
	if l.gated != nil {
		_ = l.gated.outside.Close()
	}
	if l.control != nil {
		l.control.close()
	}
	for _, door := range l.doors {
		_ = door.Close()
	}
}

// remove ends the containers, the agent's at once and the sidecar's by its lifeline or else by
// force, and removes them with the place where they met.
func (l *life) remove(ctx context.Context) error {
	l.hangUp()
	var work errgroup.Group
	work.Go(func() error {
		if l.agent == "" {
			return nil
		}
		return l.engine.Remove(ctx, l.agent)
	})
	for _, one := range []string{l.link, l.gate} {
		if one != "" {
			work.Go(func() error { return l.engine.Remove(ctx, one) })
		}
	}
	work.Go(func() error {
		if l.control != nil {
			timer := time.NewTimer(sidecarPatience)
			defer timer.Stop()
			select {
			case <-l.control.over:
			case <-timer.C:
			case <-ctx.Done():
			}
			l.control.cut()
		}
		if l.sidecar == "" {
			return nil
		}
		return l.engine.Remove(ctx, l.sidecar)
	})
	if err := work.Wait(); err != nil {
		return err
	}
	return l.engine.RemoveVolume(ctx, handoverName(l.id))
}
