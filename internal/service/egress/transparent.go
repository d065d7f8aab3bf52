package egress

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// accept takes one connection from the bottle to its end.
func (s *Server) accept(ctx context.Context, l Listener, conn net.Conn, full bool) {
	base := &agentConn{Conn: conn, now: s.deps.Now, full: full}
	defer func() { _ = base.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = base.Close() })
	defer stop()
	var dst netip.AddrPort
	ok := false
	if l.Destination != nil {
		dst, ok = l.Destination(conn)
	}
	addr := dst.Addr().Unmap()
	switch {
	case !ok, sidecarAddress(addr) && dst.Port() == plan.ProxyPort:
		s.explicit(ctx, base)
	case sidecarAddress(addr):
		s.internal(ctx, base, dst.Port())
	default:
		a := s.arrivalAt(addr, dst.Port())
		a.full = full
		s.transparent(ctx, base, a)
	}
}

// arrivalAt names what a connection to an address is for: the name that the resolver gave the
// address for, or the address itself, which only a route that names it can allow.
func (s *Server) arrivalAt(addr netip.Addr, port uint16) *arrival {
	a := &arrival{via: "transparent", port: port}
	if !addr.IsValid() || addr.IsUnspecified() {
		return a // only the port is known
	}
	a.name = addr.WithZone("").String()
	if s.deps.Names != nil {
		if name, ok := s.deps.Names.NameOf(addr); ok {
			if canonical, err := policy.CanonicalHost(name); err == nil {
				a.name = canonical
			}
		}
	}
	return a
}

// transparent finds out what a connection speaks and answers it accordingly. A refused
// destination is still spoken to, so that the agent reads why.
func (s *Server) transparent(ctx context.Context, base *agentConn, a *arrival) {
	if route := s.tcpRoute(a); route != nil {
		s.carry(ctx, base, a, route, nil)
		return
	}
	allowed, wait := s.patienceFor(a.name, a.port)
	if a.full {
		wait = s.limits.FirstByteDeny
	}
	base.until(s.deps.Now().Add(wait))
	first, err := base.peek(1, func(b []byte) bool { return len(b) > 0 })
	if err != nil {
		if len(first) == 0 && !errors.Is(err, net.ErrClosed) {
			s.refusedSilent(a, allowed, err)
			base.reset()
		}
		return
	}
	base.until(s.deps.Now().Add(s.limits.Head))
	switch {
	case first[0] == 22:
		s.tlsFront(ctx, base, a)
	case s.plainHTTP(base):
		base.until(time.Time{})
		s.newFront(base, base).serve(ctx, a)
	default:
		s.refusedConnection(a, "the connection speaks neither TLS nor HTTP/1")
		base.reset()
	}
}

// plainHTTP reports whether what was sent can begin an HTTP/1 request. HTTP/2 with prior
// knowledge cannot.
func (s *Server) plainHTTP(base *agentConn) bool {
	b, err := base.peek(4<<10, func(b []byte) bool {
		_, undecided := requestBegins(b)
		return !undecided
	})
	if err != nil {
		return false
	}
	ok, _ := requestBegins(b)
	return ok
}

// h2Preface begins HTTP/2 with prior knowledge (RFC 9113 §3.4).
const h2Preface = "PRI * HTTP/2.0\r\n"

// requestBegins reports whether b can begin a request: a method of at most 32 bytes and a space.
// undecided is true where more bytes are needed.
func requestBegins(b []byte) (ok, undecided bool) {
	method, _, found := bytes.Cut(b, []byte(" "))
	if len(method) > 32 || len(method) > 0 && !policy.ValidFieldName(string(method)) {
		return false, false
	}
	if !found {
		return false, true
	}
	if len(b) < len(h2Preface) && strings.HasPrefix(h2Preface, string(b)) {
		return false, true
	}
	return len(method) > 0 && !bytes.HasPrefix(b, []byte(h2Preface)), false
}
