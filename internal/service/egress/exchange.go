package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// exchange is one request from its verdict to its audit line.
type exchange struct {
	s         *Server
	response  *response
	inspector Inspector
	event     audit.Event
	began     time.Time
	sent      atomic.Int64
	late      func() bool      // whether the time of the request has run out; nil where it has none
	once      *generation      // made for this exchange alone, or nil
	would     *policy.Decision // what an observing bottle passed over
	end       func()           // gives the place among the open requests back; nil where it has none
}

// handle is the one path of every request, whatever way it came: canonical form, agreement of
// names, verdict, inspection, credential, upstream. It always yields a response. The caller
// streams it and then calls finish.
func (s *Server) handle(ctx context.Context, a *arrival, rq *request) *exchange {
	x := &exchange{s: s, began: s.deps.Now()}
	x.event = audit.Event{Kind: "request", Via: a.via, Proto: rq.proto, Scheme: "http", Method: shown(rq.method), Port: a.port}
	if a.tls {
		x.event.Scheme = "https"
	}
	if rq.websocket {
		x.event.Proto = "websocket"
	}
	x.event.Host = shown(a.name)
	if a.full {
		return x.refuse(503, s.tooManyConnections(), rq)
	}
	end, status, refusal := s.begin()
	if refusal != nil {
		return x.refuse(status, refusal, rq)
	}
	x.end = end
	x.late = func() bool { return errors.Is(ctx.Err(), context.DeadlineExceeded) }
	host, refusal := agreedHost(a, rq)
	x.event.Host = shown(host)
	if refusal != nil {
		return x.refuse(statusOf(refusal), refusal, rq)
	}
	asked, err := policy.NewRequest(rq.method, host, a.port, rq.target, rq.header.Values)
	if err != nil {
		return x.refuse(400, malformed(err.Error()), rq)
	}
	x.event.Host = asked.Host()
	g := s.current.Load()
	decision := g.rules.Decide(asked)
	if !decision.Allow {
		if g, decision.Route, refusal = x.hold(ctx, g, a, asked, decision); refusal != nil {
			return x.refuse(403, refusal, rq)
		}
	}
	x.would = decision.Would
	return x.allowed(ctx, g, a, rq, asked, decision.Route)
}

// agreedHost is rule 3: CONNECT target or address, SNI, Host and :authority name one host.
func agreedHost(a *arrival, rq *request) (string, *Refusal) {
	if a.conflict != "" {
		return a.name, misdirected(a.conflict)
	}
	host, port, err := splitAuthority(rq.authority)
	if err != nil {
		return rq.authority, malformed("Host: " + err.Error())
	}
	if a.name != "" && host != a.name {
		return host, misdirected(fmt.Sprintf("the connection is to %s and the request names %s", a.name, host))
	}
	if port != 0 && port != a.port {
		return host, misdirected(fmt.Sprintf("the connection is to port %d and the request names port %d", a.port, port))
	}
	return host, nil
}

func statusOf(r *Refusal) int {
	if r.Error == "misdirected" {
		return 421
	}
	return 400
}

// allowed carries a request out that the rules admit.
func (x *exchange) allowed(ctx context.Context, g *generation, a *arrival, rq *request, asked policy.Request, route *policy.Route) *exchange {
	s := x.s
	x.event.Rule = route.Host
	if x.would != nil {
		x.event.Would, x.event.Reason, x.event.Rule, x.event.Path = "deny", x.would.Reason, x.would.RuleMissing, shown(asked.Target().Path)
	}
	if route.Auth != nil && !a.tls && !loopbackTarget(route) {
		return x.refuse(403, uncredentialed(route.Auth.TokenRef, "a credential is never sent without TLS; use https"), rq)
	}
	out := *rq
	var stripped Header
	out.header, stripped = sanitise(rq.header, route, rq.websocket)
	out.target = asked.Target().String()
	out.authority = canonicalAuthority(asked.Host(), a)
	if s.deps.Inspectors != nil {
		x.inspector = s.deps.Inspectors.Inspect(Exchange{Via: a.via, Proto: x.event.Proto, Route: route})
	}
	if refusal := x.inspectHead(ctx, g, a, &out, asked, stripped); refusal != nil {
		return x.refuse(403, refusal, rq)
	}
	var err error
	if out.header, err = s.inject(out.header, route); err != nil {
		return x.refuse(403, uncredentialed(route.Auth.TokenRef, err.Error()), rq)
	}
	if route.Auth != nil {
		x.event.Injected = route.Auth.TokenRef
	}
	if g.rules.Set().Log == "full" {
		x.event.Path, _, _ = strings.Cut(out.target, "?") // as it is sent: redacted where it was
		x.event.Headers = rq.header.names()
	}
	if rq.proceed != nil {
		if err := rq.proceed(); err != nil {
			return x.refuse(400, malformed("the agent went away"), rq)
		}
	}
	if err := s.sent.spend(headSize(len(out.method)+len(out.target), out.header)); err != nil {
		return x.refuse(403, blockedRefusal(blockedFrom(err)), rq)
	}
	if out.body != nil {
		out.body = &meter{out.body, &x.sent, &s.sent}
	}
	resp, err := s.roundTrip(ctx, g, destination{route, asked.Host(), a.port, a.tls}, &out)
	if err != nil {
		return x.failed(err, route, rq)
	}
	return x.answered(ctx, resp, rq)
}

// inspectHead lets the Inspector see and change the head; what it changed is decided on again.
func (x *exchange) inspectHead(ctx context.Context, g *generation, a *arrival, out *request, asked policy.Request, stripped Header) *Refusal {
	if x.inspector == nil {
		return nil
	}
	t := asked.Target()
	head := &Head{
		Method: out.method, Host: asked.Host(), Port: a.port, Path: t.Path, Query: t.Query, HasQuery: t.HasQuery,
		Header: out.header, Stripped: stripped, Length: out.length, TLS: a.tls, WebSocket: out.websocket,
	}
	if err := x.inspector.Request(ctx, head); err != nil {
		return blockedRefusal(blockedFrom(err))
	}
	target := head.Path
	if head.HasQuery {
		target += "?" + head.Query
	}
	again, err := policy.NewRequest(out.method, asked.Host(), a.port, target, head.Header.Values)
	if err != nil {
		return malformed(err.Error())
	}
	if d := g.rules.Decide(again); !d.Allow {
		return x.s.refusalOf(d)
	}
	out.target, out.header = again.Target().String(), head.Header
	if head.Length < 0 && out.length > 0 {
		out.length = -1
	}
	if out.body != nil {
		out.body = x.inspector.RequestBody(ctx, out.body)
	}
	return nil
}

// blockedFrom turns any failure of an Inspector into a refusal: what cannot be inspected does
// not leave.
func blockedFrom(err error) *Blocked {
	var b *Blocked
	if errors.As(err, &b) {
		return b
	}
	return &Blocked{Reason: "the request could not be inspected", Guidance: "Nothing leaves uninspected.", NextSteps: []string{"try again", "if it goes on, tell the operator"}}
}

// answered prepares the upstream's response for the agent.
func (x *exchange) answered(ctx context.Context, resp *response, rq *request) *exchange {
	upgraded := resp.upgraded != nil
	if upgraded {
		if reason := badHandshake(rq.header, resp.header, resp.upgraded.h2); reason != "" {
			resp.upgraded.close()
			return x.refuse(502, upstreamFailed(&causeError{"protocol", errors.New(reason)}), rq)
		}
	}
	resp.header = answerHeader(resp.header)
	if err := x.s.received.spend(headSize(0, resp.header)); err != nil {
		_ = resp.body.Close()
		if upgraded {
			resp.upgraded.close()
		}
		return x.refuse(403, blockedRefusal(blockedFrom(err)), rq)
	}
	if x.s.received.limit > 0 && resp.length != 0 {
		resp.body = &wrappedBody{&meter{resp.body, nil, &x.s.received}, resp.body}
	}
	if x.inspector != nil {
		if err := x.inspector.Response(ctx, resp.status, resp.header); err != nil {
			_ = resp.body.Close()
			if resp.upgraded != nil {
				resp.upgraded.close()
			}
			return x.refuse(403, blockedRefusal(blockedFrom(err)), rq)
		}
		if !upgraded && !bodiless(rq.method, resp.status) {
			resp.body = &wrappedBody{x.inspector.ResponseBody(ctx, resp.body), resp.body}
		}
	}
	x.event.Verdict, x.event.Status = "allow", resp.status
	x.response = resp
	return x
}

// wrappedBody reads from one and closes another.
type wrappedBody struct {
	io.Reader
	io.Closer
}

// failed answers for an upstream that was not reached, or an address that may not be.
func (x *exchange) failed(err error, route *policy.Route, rq *request) *exchange {
	var address *addressError
	var blocked *Blocked
	var cause *causeError
	var agent *agentError
	switch {
	case x.overdue():
		return x.refuse(504, tooLong(x.s), rq)
	case errors.As(err, &address):
		return x.refuse(403, x.s.refusalOf(policy.WrongAddress(route, address)), rq)
	case errors.As(err, &blocked):
		return x.refuse(403, blockedRefusal(blocked), rq)
	case errors.As(err, &agent):
		return x.refuse(400, malformed(agent.Error()), rq)
	case !errors.As(err, &cause):
		cause = &causeError{"protocol", errGivenUp}
	}
	status := 502
	if cause.class == "timeout" {
		status = 504
	}
	x.refuse(status, upstreamFailed(cause), rq)
	x.event.Verdict = "allow"
	return x
}

func (x *exchange) refuse(status int, r *Refusal, rq *request) *exchange {
	path, _, _ := strings.Cut(rq.target, "?")
	r.Host, r.Port, r.Method, r.Path = x.event.Host, x.event.Port, shown(rq.method), shown(path)
	x.event.Verdict, x.event.Layer, x.event.Reason, x.event.Status = "deny", r.Layer, shown(r.Reason), status
	x.event.Path = r.Path
	if r.private {
		x.event.Method, x.event.Host, x.event.Path = "", x.event.Rule, ""
	}
	if r.RuleMissing != "" {
		x.event.Rule = shown(r.RuleMissing)
	}
	x.response = r.response(status)
	return x
}

// finish closes the response and writes the audit line.
func (x *exchange) finish(received int64, err error) {
	if x.response.body != nil {
		_ = x.response.body.Close()
	}
	if x.inspector != nil {
		x.inspector.Close()
	}
	if x.once != nil {
		x.once.retire()
	}
	if x.end != nil {
		x.end()
	}
	var blocked *Blocked
	switch {
	case errors.As(err, &blocked):
		r := blockedRefusal(blocked)
		x.event.Verdict, x.event.Layer, x.event.Reason, x.event.Rule = "deny", r.Layer, shown(r.Reason), shown(r.RuleMissing)
	case err != nil && x.event.Verdict == "allow" && x.overdue():
		r := tooLong(x.s)
		x.event.Verdict, x.event.Layer, x.event.Reason, x.event.Rule = "deny", r.Layer, r.Reason, r.RuleMissing
	case err != nil:
		x.event.Message = "ended early"
	}
	now := x.s.deps.Now()
	x.event.Time = now.UTC()
	x.event.Sent, x.event.Received = x.sent.Load(), received
	x.event.Millis = float64(now.Sub(x.began).Microseconds()) / 1000
	x.s.deps.Audit.Record(x.event)
}

// splitAuthority reads host[:port]; port is 0 where none is given. Userinfo is refused.
func splitAuthority(authority string) (string, uint16, error) {
	hostPart, portPart := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") && (strings.HasPrefix(authority, "[") || strings.Count(authority, ":") == 1) {
		hostPart, portPart = authority[:i], authority[i+1:]
		if portPart == "" {
			return "", 0, errors.New("its port is empty")
		}
	}
	var port uint64
	if portPart != "" {
		var err error
		if port, err = strconv.ParseUint(portPart, 10, 16); err != nil || port == 0 || portPart[0] == '+' {
			return "", 0, errors.New("its port is no port")
		}
	}
	if strings.EqualFold(hostPart, policy.InternalHost) {
		return policy.InternalHost, uint16(port), nil
	}
	host, err := policy.CanonicalHost(hostPart)
	return host, uint16(port), err
}

// canonicalAuthority is what is sent upstream: the port stands only where it is not the scheme's.
func canonicalAuthority(host string, a *arrival) string {
	if a.tls && a.port == 443 || !a.tls && a.port == 80 {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(a.port)))
}

// loopbackTarget: the operator wrote down a stand-in on this machine, to which plain HTTP is safe.
func loopbackTarget(route *policy.Route) bool {
	host, _, err := splitHostPort(route.ConnectTo)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// sidecarAddress reports whether addr is where the sidecar itself is, seen from the bottle.
func sidecarAddress(addr netip.Addr) bool {
	text := addr.String()
	return text == plan.SidecarIPv4 || text == plan.SidecarIPv6
}
