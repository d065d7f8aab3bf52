// Package egress is the way out of a bottle: it takes every connection that the agent makes,
// opens it, asks policy, puts the credential in, and dials out.
//
// Its one rule: nothing is forwarded that was not parsed, decided on by policy and written anew.
package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Server is the egress proxy of one bottle.
type Server struct {
	deps     Deps
	limits   Limits
	dialer   dialer
	agentTLS *tls.Config
	quietLog *log.Logger
	buffers  buffers
	waiting  waiting
	held     held
	slots    chan struct{}
	overflow chan struct{} // for those that are told that there is no slot
	open     atomic.Int64  // requests
	sent     budget
	received budget
	current  atomic.Pointer[generation]

	replacing sync.Mutex // guards the order of SetPolicy
}

// New checks the policy and the dependencies. It starts nothing and dials nothing.
func New(config Config, deps Deps) (*Server, error) {
	if deps.CA == nil || deps.Audit == nil {
		return nil, errors.New("cannot make the egress proxy: it needs a CA and an audit sink")
	}
	if err := config.Limits.check(); err != nil {
		return nil, err
	}
	rules, err := policy.Compile(config.Policy)
	if err != nil {
		return nil, err
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Resolver == nil {
		deps.Resolver = &net.Resolver{}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.OwnAddresses == nil {
		if deps.OwnAddresses, err = interfaceAddresses(); err != nil {
			return nil, err
		}
	}
	s := &Server{deps: deps, limits: config.Limits.withDefaults()}
	s.dialer = dialer{deps.Resolver, deps.OwnAddresses}
	s.agentTLS = s.newAgentTLS()
	s.quietLog = log.New(io.Discard, "", 0)
	s.waiting.all = map[*agentConn]context.CancelFunc{}
	s.slots = make(chan struct{}, s.limits.Connections)
	s.overflow = make(chan struct{}, overflowSlots)
	s.sent.limit, s.sent.name = s.limits.TotalSent, "total_sent"
	s.received.limit, s.received.name = s.limits.TotalReceived, "total_received"
	s.current.Store(newGeneration(rules))
	return s, nil
}

// Run serves until ctx ends, calling ready once the listeners are being accepted from. It closes
// the listeners and returns when every connection has ended; nil where ctx was the reason.
func (s *Server) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all, conns sync.WaitGroup
	failed := make(chan error, len(s.deps.Listeners))
	stop := context.AfterFunc(ctx, func() {
		for _, l := range s.deps.Listeners {
			_ = l.Close()
		}
	})
	defer stop()
	for _, l := range s.deps.Listeners {
		all.Go(func() {
			if err := s.acceptLoop(ctx, l, &conns); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	all.Go(func() { s.housekeeping(ctx) })
	if ready != nil {
		ready()
	}
	all.Wait()
	conns.Wait()
	s.current.Load().retire()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (s *Server) acceptLoop(ctx context.Context, l Listener, conns *sync.WaitGroup) error {
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() {
				s.deps.Log.Warn("cannot accept a connection", "err", err)
				if !pause(ctx, 50*time.Millisecond) {
					return nil
				}
				continue
			}
			return fmt.Errorf("cannot accept on %s: %w", l.Addr(), err)
		}
		slot, full := s.slots, false
		select {
		case slot <- struct{}{}:
		default:
			slot, full = s.overflow, true
			select {
			case slot <- struct{}{}:
			default:
				s.limitedConnection(&arrival{}, s.tooManyConnections())
				(&agentConn{Conn: conn}).reset()
				continue
			}
		}
		conns.Go(func() {
			defer func() { <-slot }()
			s.accept(ctx, l, conn, full)
		})
	}
}

// pause waits for d or the end of ctx, which it reports.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) housekeeping(ctx context.Context) {
	for pause(ctx, abandonCheck) {
		s.waiting.cancelAbandoned()
		s.current.Load().sweep(s.deps.Now().Add(-s.limits.PooledIdle))
	}
}

// SetPolicy replaces the whole policy for every request from now on; those in flight end under
// the old one. A set with any problem is refused whole, and the old one stays in force.
func (s *Server) SetPolicy(set policy.Set) error {
	return s.ChangePolicy(func(*policy.Rules) (policy.Set, error) { return set, nil })
}

// ChangePolicy is SetPolicy with what change makes of the rules in force; nothing else changes
// them meanwhile.
func (s *Server) ChangePolicy(change func(*policy.Rules) (policy.Set, error)) error {
	s.replacing.Lock()
	defer s.replacing.Unlock()
	set, err := change(s.current.Load().rules)
	if err != nil {
		return fmt.Errorf("cannot replace the policy, the old one stays: %w", err)
	}
	rules, err := policy.Compile(set)
	if err != nil {
		return fmt.Errorf("cannot replace the policy, the old one stays: %w", err)
	}
	s.current.Swap(newGeneration(rules)).retire()
	return nil
}

// Rules are the rules in force, for the resolver and for explanations.
func (s *Server) Rules() *policy.Rules { return s.current.Load().rules }

// refusedConnection records a connection that ended before a request could be decided on.
func (s *Server) refusedConnection(a *arrival, reason string) {
	s.deps.Audit.Record(audit.Event{
		Time: s.deps.Now().UTC(), Kind: "connect", Verdict: "deny", Layer: policy.LayerProtocol,
		Via: a.via, Proto: "tcp", Host: shown(a.name), Port: a.port, Reason: shown(reason),
	})
}

// refusedSilent records a client that sent nothing: one that waits for the server to speak, or
// one that went away.
func (s *Server) refusedSilent(a *arrival, allowed bool, err error) {
	event := audit.Event{
		Time: s.deps.Now().UTC(), Kind: "connect", Verdict: "deny", Layer: policy.LayerProtocol,
		Via: a.via, Proto: "tcp", Host: shown(a.name), Port: a.port,
		Reason: "the client sent nothing; only TLS and HTTP are carried",
	}
	if !allowed {
		d := s.current.Load().rules.DecideHost(a.name, a.port)
		event.Layer, event.Reason, event.Rule = d.Layer, d.Reason, d.RuleMissing
	} else if errors.Is(err, io.EOF) {
		event.Reason = "the client went away before it sent anything"
	}
	s.deps.Audit.Record(event)
}

func interfaceAddresses() ([]netip.Addr, error) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("cannot list the addresses of this machine: %w", err)
	}
	var addrs []netip.Addr
	for _, one := range found {
		if prefix, err := netip.ParsePrefix(one.String()); err == nil {
			addrs = append(addrs, prefix.Addr().Unmap().WithZone(""))
		}
	}
	return addrs, nil
}

// overflowSlots are the connections past the limit that are told so, instead of being reset.
const overflowSlots = 16

func (s *Server) tooManyConnections() *Refusal {
	return limited("connections", fmt.Sprintf("the bottle has %d connections open at once, which is its limit", s.limits.Connections))
}

// limitedConnection records a connection that ended for a limit, with nobody to tell.
func (s *Server) limitedConnection(a *arrival, r *Refusal) {
	s.deps.Audit.Record(audit.Event{
		Time: s.deps.Now().UTC(), Kind: "connect", Verdict: "deny", Layer: r.Layer, Via: a.via, Proto: "tcp",
		Host: shown(a.name), Port: a.port, Reason: shown(r.Reason), Rule: r.RuleMissing,
	})
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }
