package sidecar

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"golang.org/x/sync/errgroup"
)

// ownerMethods are what the holder of the first connection may call.
func (p *process) ownerMethods(running context.Context, group *errgroup.Group) map[string]control.Handler {
	methods := p.sharedMethods()
	methods[control.MethodConfigure] = func(ctx context.Context, params []byte) (any, error) {
		if !p.claimed.CompareAndSwap(false, true) {
			return nil, fault.New(fault.Exists, "cannot configure the sidecar: it is configured")
		}
		var setup control.Setup
		if err := control.Decode(params, &setup); err != nil {
			return nil, control.Last(nil, err)
		}
		ready, err := p.configure(ctx, running, group, setup)
		if err != nil {
			return nil, control.Last(nil, err)
		}
		return ready, nil
	}
	warm := sync.OnceFunc(func() { group.Go(loadRoots) })
	methods[control.MethodNote] = func(_ context.Context, params []byte) (any, error) {
		err := p.note(params)
		if err == nil {
			warm() // the agent starts now, so its start no longer competes with this
		}
		return nil, err
	}
	methods[control.MethodRenew] = func(_ context.Context, params []byte) (any, error) { return nil, p.renew(params) }
	methods[control.MethodStop] = func(context.Context, []byte) (any, error) { return nil, control.Last(nil, nil) }
	return methods
}

// operatorMethods are what other processes of the same user may call. After stop the flag is set.
func (p *process) operatorMethods(stop *atomic.Bool) map[string]control.Handler {
	methods := p.sharedMethods()
	methods[control.MethodStop] = func(context.Context, []byte) (any, error) {
		stop.Store(true)
		return nil, control.Last(nil, nil)
	}
	return methods
}

func (p *process) sharedMethods() map[string]control.Handler {
	methods := p.inboxMethods()
	methods[control.MethodRoutes] = p.routes
	methods[control.MethodSetRoutes] = p.setRoutes
	methods[control.MethodStats] = p.stats
	return methods
}

func (p *process) stats(context.Context, []byte) (any, error) { return p.measured(), nil }

func (p *process) measured() control.Stats {
	stats := control.Stats{
		UptimeSeconds: time.Since(p.started).Seconds(),
		Allowed:       p.counted.allowed.Load(), Denied: p.counted.denied.Load(), Alarms: p.counted.alarms.Load(),
		SentBytes: p.counted.sent.Load(), ReceivedBytes: p.counted.received.Load(),
		ResidentBytes: resident(p.memory), DeniedBy: p.counted.deniedBy(),
	}
	stats.Requests, stats.Refused = p.counted.requests.Load(), p.counted.refused.Load()
	if last := p.counted.last.Load(); last != 0 {
		stats.LastAt = time.Unix(0, last).UTC()
	}
	if d := p.desk.Load(); d != nil {
		stats.Pending = d.Open()
	}
	if proxy := p.egress.Load(); proxy != nil {
		stats.Routes, stats.Open = len(proxy.Rules().Routes()), p.desk.Load().Open()
	}
	return stats
}

// renew replaces the value of a reference. The scanners and the log know the new one before a
// request can carry it.
func (p *process) renew(params []byte) error {
	var r control.Renewal
	if err := control.Decode(params, &r); err != nil {
		return err
	}
	if p.egress.Load() == nil {
		return notConfigured()
	}
	err := p.tokens.replace(r.Ref, r.Value, func() {
		p.redactor.Store(secret.NewRedactor(p.tokens.all()...))
		p.inspectors.learn()
	})
	if err != nil {
		return err
	}
	p.counted.Record(audit.Event{Kind: "lifecycle", Message: "credential renewed", Reason: r.Ref})
	return nil
}

// note lets the owner write what happens to the bottle around us, and nothing that reads like
// a verdict of ours.
func (p *process) note(params []byte) error {
	var e audit.Event
	if err := control.Decode(params, &e); err != nil {
		return err
	}
	if e.Kind != "lifecycle" && e.Kind != "note" {
		return fault.New(fault.Invalid, "cannot note an event of kind %q: only lifecycle and note", e.Kind)
	}
	if p.egress.Load() == nil {
		return notConfigured()
	}
	p.counted.Record(e)
	return nil
}

func notConfigured() error {
	return fault.New(fault.Unavailable, "cannot answer: the sidecar is not configured yet")
}

// resident reads statm, which was opened before the fence; see proc_pid_statm(5). 0 means unknown.
func resident(statm *os.File) int64 {
	text := make([]byte, 256)
	n, _ := statm.ReadAt(text, 0)
	var size, pages int64
	if _, err := fmt.Fscan(bytes.NewReader(text[:n]), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
