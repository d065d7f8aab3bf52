package sidecar

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/ca"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dns"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	mcptools "github.com/bot-bottle/bot-bottle/internal/service/supervise"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
	"golang.org/x/sync/errgroup"
)

// maxLog is how far audit.jsonl may grow; past it the sidecar ends rather than go unrecorded.
const maxLog = 4 << 30

// services are the parts of one sidecar, made and not yet running.
type services struct {
	log    *audit.Log
	ca     *ca.CA
	egress *egress.Server
	dns    *dns.Server
	tools  *mcptools.Server // nil: the agent may not ask
}

// configure checks the whole setup, makes every part, raises the fence and starts them, in that
// order: before the fence is up no byte of the bottle is read.
func (p *process) configure(ctx, running context.Context, group *errgroup.Group, setup control.Setup) (Ready, error) {
	if _, err := instance.Parse(string(setup.Config.ID)); err != nil {
		return Ready{}, fault.New(fault.Invalid, "cannot configure the sidecar: %w", err)
	}
	if _, err := policy.Compile(setup.Config.Egress); err != nil {
		return Ready{}, fault.New(fault.Invalid, "cannot configure the sidecar: %w", err)
	}
	tokens, guarded, err := values(setup)
	if err != nil {
		return Ready{}, err
	}
	if err := tokens.covers(setup.Config.Egress); err != nil {
		return Ready{}, err
	}
	p.name.Store(&setup.Config.ID)
	p.tokens, p.guarded = tokens, guarded
	meeting, err := p.handover()
	if err != nil {
		return Ready{}, err
	}
	ls, err := receive(ctx, meeting)
	if err != nil {
		return Ready{}, errors.Join(err, meeting.Close())
	}
	if p.joined {
		group.Go(func() error { return lasts(running, meeting) })
	} else if err := meeting.Close(); err != nil {
		return Ready{}, err
	}
	s, err := p.make(setup.Config, ls)
	if err != nil {
		return Ready{}, err
	}
	fences, err := fence.Raise(openings())
	if err != nil {
		return Ready{}, err
	}
	if err := p.start(ctx, running, group, s); err != nil {
		return Ready{}, err
	}
	if setup.Config.Egress.Observe {
		p.counted.Record(audit.Event{Kind: "lifecycle", Message: "observing: what no route allows is recorded, and not refused"})
	}
	p.counted.Record(audit.Event{Kind: "lifecycle", Message: "sidecar ready", Reason: strings.Join(fences, ", ")})
	return Ready{CACertificate: string(s.ca.CertificatePEM()), PID: os.Getpid(), Fences: fences}, nil
}

// make builds every part without running any.
func (p *process) make(config Config, ls listeners) (s services, err error) {
	p.redactor.Store(secret.NewRedactor(append(p.tokens.all(), p.guarded.all()...)...))
	redact := func(text string) string { return p.redactor.Load().String(text) }
	head := audit.Genesis(string(config.ID))
	if config.Audit != nil {
		head = *config.Audit
	}
	s.log = audit.NewLog(p.logFile, head, redact)
	p.counted.log.Store(s.log)
	if s.ca, err = ca.New("bot-bottle "+string(config.ID), time.Now); err != nil {
		return s, err
	}
	if s.dns, err = dns.New(dnsConfig(), dns.Deps{
		Packets: ls.packets, Streams: ls.streams, Allowed: p.resolves, Asked: p.asks, Named: p.spelled, Refused: p.refused, Audit: p.counted,
	}); err != nil {
		return s, err
	}
	p.supervised = config.Supervise
	if config.GitGate != "" {
		p.gateWord.Store(&config.GitGate)
	}
	p.inspectors = newInspectors(p.tokens, p.guarded, config.Placeholders, p.counted)
	var ways []egress.Listener
	for _, l := range ls.proxy {
		ways = append(ways, egress.Listener{Listener: l, Destination: destination})
	}
	if config.Supervise {
		s.tools, err = mcptools.New(mcptools.Config{Capability: config.Capability.Form}, mcptools.Deps{Inbox: lateDesk{p}, Bottle: bottleView{p}})
		if err != nil {
			return s, err
		}
	}
	s.egress, err = egress.New(egress.Config{Policy: config.Egress, Limits: limits(config.Egress.Limits)}, egress.Deps{
		Listeners: ways, CA: s.ca, Credentials: p.tokens, Names: s.dns, Audit: p.counted,
		Inspectors: p.inspectors, Ask: p.asker(config), HostGuard: p.inspectors.refusedName, Peers: p.peers(s.tools),
	})
	if err != nil {
		return s, fault.New(fault.Invalid, "cannot configure the sidecar: %w", err)
	}
	p.egress.Store(s.egress)
	inbox, err := desk.New(desk.Config{ID: config.ID}, desk.Deps{
		Journal: p.inbox, Kinds: p.kinds(config), Standing: []ask.Kind{ask.Push}, Audit: p.counted, Redact: redact,
	})
	if err != nil {
		return s, err
	}
	p.desk.Store(inbox)
	if config.Supervise {
		p.inspectors.asker = inbox
	}
	return s, nil
}

// start runs the parts in one group, so that the end of one ends all, and returns when all serve.
func (p *process) start(ctx, running context.Context, group *errgroup.Group, s services) error {
	var waiting sync.WaitGroup
	parts := map[string]func(context.Context, func()) error{"egress": s.egress.Run, "dns": s.dns.Run}
	if s.tools != nil {
		parts["supervise"] = s.tools.Run
	}
	for name, run := range parts {
		waiting.Add(1)
		group.Go(func() error {
			return mustRun(running, name, func(ctx context.Context) error { return run(ctx, sync.OnceFunc(waiting.Done)) })
		})
	}
	group.Go(func() error { return watchLog(running, s.log) })
	ready := make(chan struct{})
	go func() {
		waiting.Wait()
		close(ready)
	}()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
	case <-running.Done():
	}
	return fmt.Errorf("cannot start the sidecar: %w", context.Cause(running))
}

// limits are the bottle's, in the egress's own terms.
func limits(l policy.Limits) egress.Limits {
	return egress.Limits{
		Connections: l.Connections, Requests: l.Requests, Streams: uint32(min(l.Streams, math.MaxInt32)), HeaderBytes: l.HeaderBytes,
		Idle: time.Duration(l.IdleSeconds) * time.Second, Total: time.Duration(l.TotalSeconds) * time.Second,
		TotalSent: l.TotalSent, TotalReceived: l.TotalReceived,
	}
}

func dnsConfig() dns.Config {
	return dns.Config{
		SidecarNames: []string{policy.InternalHost, "supervise", "supervise.local", "git-gate", "git-gate.local"},
		Sidecar4:     netip.MustParseAddr(plan.SidecarIPv4), Sidecar6: netip.MustParseAddr(plan.SidecarIPv6),
		Synthetic4: netip.MustParsePrefix(plan.SyntheticIPv4), Synthetic6: netip.MustParsePrefix(plan.SyntheticIPv6),
	}
}

// resolves and spelled ask the policy in force.
func (p *process) resolves(name string) bool {
	proxy := p.egress.Load()
	return proxy != nil && proxy.Rules().ResolvesName(name)
}

// asks reports whether a name that no route covers is answered all the same, because whoever
// connects to it will be asked about. Nothing is looked up for that.
func (p *process) asks(name string) bool {
	proxy := p.egress.Load()
	return proxy != nil && p.desk.Load() != nil && p.supervised && proxy.Rules().AsksForName(name)
}

func (p *process) spelled(name string) bool {
	proxy := p.egress.Load()
	return proxy != nil && slices.ContainsFunc(proxy.Rules().Routes(), func(r policy.Route) bool { return r.Host == name })
}
