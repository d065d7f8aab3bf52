package egress

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// tunnel is a connection whose bytes are not parsed, from its verdict to its audit line: TLS that
// is passed through, or a tcp route.
type tunnel struct {
	s     *Server
	a     *arrival
	route *policy.Route
	event audit.Event
	began time.Time
	// silence of both sides together ends it
	silence time.Duration
	end     func()
}

func (s *Server) newTunnel(a *arrival, proto string, route *policy.Route) *tunnel {
	t := &tunnel{s: s, a: a, route: route, began: s.deps.Now(), silence: s.limits.Stall}
	t.event = audit.Event{Kind: "connect", Via: a.via, Proto: proto, Host: a.name, Port: a.port, Rule: route.Host}
	return t
}

func (t *tunnel) deny(layer, reason, rule string) {
	t.event.Verdict, t.event.Layer, t.event.Reason = "deny", layer, shown(reason)
	if rule != "" {
		t.event.Rule = rule
	}
}

// tunnelTime bounds the whole life of a tunnel.
func (s *Server) tunnelTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.limits.Total)
}

// dial connects to a checked address. Where it returns no connection it has said why.
func (t *tunnel) dial(ctx context.Context) (net.Conn, int, *Refusal) {
	refuse := func(status int, r *Refusal) (net.Conn, int, *Refusal) {
		t.deny(r.Layer, r.Reason, shown(r.RuleMissing))
		if r.Error == "upstream" { // the rules do admit it
			t.event.Verdict = "allow"
		}
		r.Host, r.Port = t.a.name, t.a.port
		return nil, status, r
	}
	if t.a.full {
		return refuse(503, t.s.tooManyConnections())
	}
	end, status, refusal := t.s.begin()
	if refusal != nil {
		return refuse(status, refusal)
	}
	t.end = end
	ctx, cancel := context.WithTimeout(ctx, t.s.limits.Dial)
	defer cancel()
	up, err := t.s.openTCP(ctx, t.s.current.Load(), destination{t.route, t.a.name, t.a.port, false})
	var address *addressError
	var cause *causeError
	switch {
	case err == nil:
		t.event.Verdict = "allow"
		return up, 200, nil
	case errors.As(err, &address):
		return refuse(403, t.s.refusalOf(policy.WrongAddress(t.route, address)))
	case !errors.As(err, &cause):
		cause = &causeError{class(err, "connect"), err}
	}
	if cause.class == "timeout" {
		return refuse(504, upstreamFailed(cause))
	}
	return refuse(502, upstreamFailed(cause))
}

// ended says how the relay came to its end, where that was a limit.
func (t *tunnel) ended(ctx context.Context, err error) {
	var blocked *Blocked
	switch {
	case errors.As(err, &blocked):
		t.deny(blocked.Layer, blocked.Reason, blocked.Rule)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		r := tooLong(t.s)
		t.deny(r.Layer, r.Reason, r.RuleMissing)
	}
}

// finish writes the audit line.
func (t *tunnel) finish() {
	if t.end != nil {
		t.end()
	}
	now := t.s.deps.Now()
	t.event.Time, t.event.Millis = now.UTC(), float64(now.Sub(t.began).Microseconds())/1000
	t.s.deps.Audit.Record(t.event)
}
