package egress

import (
	"context"
	"io"
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

// relay moves bytes both ways until both directions have ended.
func (t *tunnel) relay(ctx context.Context, agent *agentConn, up net.Conn) {
	s := t.s
	closeBoth := func() {
		_ = up.Close()
		_ = agent.Close()
	}
	stop := context.AfterFunc(ctx, closeBoth)
	defer stop()
	defer closeBoth()
	agent.unbounded()
	quiet := watchSilence(s.deps.Now, t.silence, closeBoth)
	defer quiet.stop()
	var sent, received atomic.Int64
	var wg sync.WaitGroup
	var outErr error
	wg.Go(func() {
		_, outErr = s.copyBody(up, &meter{quiet.hearing(agent), &sent, &s.sent}, nil)
		endHalf(outErr, up, closeBoth)
	})
	_, inErr := s.copyBody(agent, &meter{quiet.hearing(up), &received, &s.received}, nil)
	endHalf(inErr, agent.Conn, closeBoth)
	wg.Wait()
	t.event.Sent, t.event.Received = sent.Load(), received.Load()
	t.ended(ctx, firstBlocked(outErr, inErr))
}

// endHalf passes a half-close on; any error ends both directions.
func endHalf(err error, to io.Writer, closeBoth func()) {
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		closeBoth()
	}
}
