package egress

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// splice passes TLS through unopened, to a checked address, where the route says so. The verdict
// rests on SNI, so SNI must be there, agree with the connection, and be the only name.
func (s *Server) splice(ctx context.Context, base *agentConn, a *arrival, route *policy.Route, hello clientHello) {
	t := s.newTunnel(a, "tls", route)
	defer t.finish()
	if hello.serverName == "" || hello.ech {
		t.deny(policy.LayerProtocol, "TLS that is passed through must name its host in the clear", "")
		base.reset()
		return
	}
	if s.deps.HostGuard != nil {
		if reason := s.deps.HostGuard(route, a.name, a.port); reason != "" {
			t.event.Host = route.Host
			t.deny("dlp", reason, "")
			base.reset()
			return
		}
	}
	ctx, cancel := s.tunnelTime(ctx)
	defer cancel()
	up, _, _ := t.dial(ctx)
	if up == nil {
		base.reset()
		return
	}
	t.relay(ctx, base, up)
}

// relay moves bytes both ways until both directions have ended. A direction that did not come to
// its end is cut: the one who reads it sees a reset, and never an end that the other did not say.
func (t *tunnel) relay(ctx context.Context, agent *agentConn, up net.Conn) {
	s := t.s
	var sent, received atomic.Int64
	out := half{from: agent, to: up, moved: &sent, total: &s.sent}
	in := half{from: up, to: agent.Conn, moved: &received, total: &s.received}
	cut := func() {
		out.cut()
		in.cut()
	}
	stop := context.AfterFunc(ctx, cut)
	defer stop()
	defer cut()
	agent.unbounded()
	quiet := watchSilence(s.deps.Now, t.silence, cut)
	defer quiet.stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		if out.move(s, quiet) != nil {
			cut()
		}
	})
	if in.move(s, quiet) != nil {
		cut()
	}
	wg.Wait()
	t.event.Sent, t.event.Received = sent.Load(), received.Load()
	t.ended(ctx, firstBlocked(out.err, in.err))
}

// half is one direction of a tunnel.
type half struct {
	from, to net.Conn
	moved    *atomic.Int64
	total    *budget
	ended    atomic.Bool // by the one who sends, and passed on
	err      error
}

// move carries what comes, and the end of it.
func (h *half) move(s *Server, quiet *silence) error {
	if _, h.err = s.copyBody(h.to, &meter{quiet.hearing(h.from), h.moved, h.total}, nil); h.err != nil {
		return h.err
	}
	way, ok := h.to.(interface{ CloseWrite() error })
	if !ok {
		return net.ErrClosed
	}
	h.ended.Store(true)
	return way.CloseWrite()
}

// cut closes the end that is written to.
func (h *half) cut() {
	if h.ended.Load() {
		_ = h.to.Close()
		return
	}
	reset(h.to)
}
