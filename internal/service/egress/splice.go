package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// splice passes TLS through unopened, to a checked address, where the route says so. The verdict
// rests on SNI, so SNI must be there, agree with the connection, and be the only name.
func (s *Server) splice(ctx context.Context, base *agentConn, a *arrival, route *policy.Route, hello clientHello) {
	event := audit.Event{Kind: "connect", Via: a.via, Proto: "tls", Host: a.name, Port: a.port, Rule: route.Host}
	began := s.deps.Now()
	defer func() {
		now := s.deps.Now()
		event.Time, event.Millis = now.UTC(), float64(now.Sub(began).Microseconds())/1000
		s.deps.Audit.Record(event)
	}()
	deny := func(layer, reason string) {
		event.Verdict, event.Layer, event.Reason = "deny", layer, shown(reason)
		base.reset()
	}
	if hello.serverName == "" || hello.ech {
		deny(policy.LayerProtocol, "TLS that is passed through must name its host in the clear")
		return
	}
	dial, cancel := context.WithTimeout(ctx, s.limits.Dial)
	defer cancel()
	up, err := s.openTCP(dial, s.current.Load(), destination{route, a.name, a.port, false})
	if err != nil {
		layer := "upstream"
		if errors.As(err, new(*addressError)) {
			layer = policy.LayerAddress
		}
		deny(layer, err.Error())
		return
	}
	event.Verdict = "allow"
	base.until(time.Time{})
	base.patience(s.limits.Stall)
	event.Sent, event.Received = s.relay(ctx, base, up)
}

// relay moves bytes both ways until both directions have ended.
func (s *Server) relay(ctx context.Context, agent *agentConn, up net.Conn) (sent, received int64) {
	closeBoth := func() {
		_ = up.Close()
		_ = agent.Close()
	}
	stop := context.AfterFunc(ctx, closeBoth)
	defer stop()
	defer closeBoth()
	guarded := &agentConn{Conn: up, now: s.deps.Now}
	guarded.patience(s.limits.Stall)
	var wg sync.WaitGroup
	wg.Go(func() {
		n, err := s.copyBody(guarded, agent, nil)
		sent = n
		endHalf(err, up, closeBoth)
	})
	received, err := s.copyBody(agent, guarded, nil)
	endHalf(err, agent.Conn, closeBoth)
	wg.Wait()
	return sent, received
}

// endHalf passes a half-close on; any error ends both directions.
func endHalf(err error, to io.Writer, closeBoth func()) {
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		closeBoth()
	}
}
