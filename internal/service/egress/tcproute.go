package egress

import (
	"context"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// tcpRoute returns the tcp route that a connection is for, or nil. The verdict rests on the name
// that the connection was opened for and its port, so it falls before any byte is awaited: in
// many such protocols the server speaks first.
func (s *Server) tcpRoute(a *arrival) *policy.Route {
	if a.name == "" {
		return nil
	}
	d := s.current.Load().rules.DecideHost(a.name, a.port)
	if !d.Allow || d.Route.Protocol != policy.ProtocolTCP {
		return nil
	}
	return d.Route
}

// carry takes a connection of a tcp route to its end: to a checked address, bytes as they come.
// answer tells the agent how the dial went, in the words of its way in; nil means that it has
// none, and a connection that fails is reset.
func (s *Server) carry(ctx context.Context, base *agentConn, a *arrival, route *policy.Route, answer func(status int, r *Refusal) error) {
	t := s.newTunnel(a, "tcp", route)
	t.silence = s.limits.TunnelIdle
	defer t.finish()
	ctx, cancel := s.tunnelTime(ctx)
	defer cancel()
	up, status, refusal := t.dial(ctx)
	if answer != nil {
		if err := answer(status, refusal); err != nil && up != nil {
			_ = up.Close()
			return
		}
	}
	if up == nil {
		if answer == nil {
			base.reset()
		}
		return
	}
	t.relay(ctx, base, up)
}
