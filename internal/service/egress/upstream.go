package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// destination keys pooled connections. The route stands in it by identity: a replaced policy
// never meets a connection that was checked under another.
type destination struct {
	route *policy.Route
	host  string
	port  uint16
	tls   bool
}

// generation is one policy in force with the connections that were opened under it.
type generation struct {
	rules *policy.Rules

	mu      sync.Mutex // guards what follows
	retired bool
	idle    map[destination][]*h1conn
	streams map[destination][]*h2conn
	roots   map[*policy.Route]*x509.CertPool
	tickets tls.ClientSessionCache
}

func newGeneration(rules *policy.Rules) *generation {
	return &generation{
		rules:   rules,
		idle:    map[destination][]*h1conn{},
		streams: map[destination][]*h2conn{},
		roots:   map[*policy.Route]*x509.CertPool{},
		tickets: tls.NewLRUClientSessionCache(64),
	}
}

// take returns a kept connection that is still alive, or nil.
func (g *generation) take(to destination) *h1conn {
	for {
		g.mu.Lock()
		kept := g.idle[to]
		if len(kept) == 0 {
			g.mu.Unlock()
			return nil
		}
		conn := kept[len(kept)-1]
		g.idle[to] = kept[:len(kept)-1]
		g.mu.Unlock()
		if conn.quiet() {
			return conn
		}
		_ = conn.Close()
	}
}

// keep puts a connection back, or closes it where the policy is no longer in force.
func (g *generation) keep(conn *h1conn, limit int, now time.Time) {
	g.mu.Lock()
	ok := !g.retired && len(g.idle[conn.to]) < limit
	if ok {
		conn.since = now
		g.idle[conn.to] = append(g.idle[conn.to], conn)
	}
	g.mu.Unlock()
	if !ok {
		_ = conn.Close()
	}
}

// sweep closes what has been idle since before the given time.
func (g *generation) sweep(before time.Time) {
	var old []*h1conn
	g.mu.Lock()
	for to, kept := range g.idle {
		var young []*h1conn
		for _, conn := range kept {
			if conn.since.Before(before) {
				old = append(old, conn)
			} else {
				young = append(young, conn)
			}
		}
		if g.idle[to] = young; len(young) == 0 {
			delete(g.idle, to)
		}
	}
	for to := range g.streams {
		g.living(to)
	}
	g.mu.Unlock()
	for _, conn := range old {
		_ = conn.Close()
	}
}

// retire ends a generation: idle connections close now, the busy ones when they are put back.
func (g *generation) retire() {
	g.mu.Lock()
	g.retired = true
	streams := g.streams
	g.streams = map[destination][]*h2conn{}
	g.mu.Unlock()
	g.sweep(time.Unix(1<<40, 0))
	for _, conns := range streams {
		for _, conn := range conns {
			conn.finish()
		}
	}
}

// rootsFor returns the roots that the route trusts: the system's, and its own besides.
func (g *generation) rootsFor(route *policy.Route, base *x509.CertPool) (*x509.CertPool, error) {
	if route.UpstreamCA == "" {
		return base, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if pool := g.roots[route]; pool != nil {
		return pool, nil
	}
	var pool *x509.CertPool
	if base != nil {
		pool = base.Clone()
	} else if system, err := x509.SystemCertPool(); err == nil {
		pool = system
	} else {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(route.UpstreamCA)) {
		return nil, errors.New("cannot use upstream_ca: it holds no certificate")
	}
	g.roots[route] = pool
	return pool, nil
}

// connect opens a new connection to the destination: TCP to a checked address, and TLS with the
// certificate checked for the host, wherever it was dialled.
func (s *Server) connect(ctx context.Context, g *generation, to destination, protocols []string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Dial)
	defer cancel()
	conn, err := s.openTCP(ctx, g, to)
	if err != nil || !to.tls {
		return conn, err
	}
	roots, err := g.rootsFor(to.route, s.deps.Roots)
	if err != nil {
		_ = conn.Close()
		return nil, &causeError{"tls", err}
	}
	secured := tls.Client(conn, &tls.Config{
		ServerName:         to.host,
		RootCAs:            roots,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         protocols,
		ClientSessionCache: g.tickets,
		Time:               s.deps.Now,
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &causeError{class(err, "tls"), fmt.Errorf("cannot open TLS to %s: %w", to.host, err)}
	}
	return secured, nil
}

func (s *Server) openTCP(ctx context.Context, g *generation, to destination) (net.Conn, error) {
	if proxy := g.rules.Set().UpstreamProxy; proxy != "" && to.route.ConnectTo == "" {
		return s.openThrough(ctx, proxy, to.route, to.host, to.port)
	}
	return s.dialer.open(ctx, to.route, to.host, to.port)
}

// wantsH2 reports whether a handshake failed because the upstream speaks only HTTP/2: the alert
// no_application_protocol (RFC 7301 §3.2), whose type crypto/tls keeps to itself.
func wantsH2(err error) bool {
	var remote *net.OpError
	return errors.As(err, &remote) && remote.Op == "remote error" && remote.Err.Error() == tls.AlertError(120).Error()
}

// roundTrip sends one request and returns the head of its response; the body streams. An agent
// that speaks HTTP/1 is served over HTTP/1 where the upstream has it, which needs no hand-over
// between goroutines; an agent that speaks HTTP/2 is served over HTTP/2 where the upstream has it.
func (s *Server) roundTrip(ctx context.Context, g *generation, to destination, rq *request) (*response, error) {
	if rq.proto == "h2" && to.tls && !rq.websocket {
		if conn := g.stream(to); conn != nil {
			resp, err := s.roundTripH2(ctx, conn, to, rq)
			if !errors.Is(err, errStale) {
				return resp, err
			}
		}
	}
	if conn := g.take(to); conn != nil {
		resp, err := conn.roundTrip(ctx, rq)
		if !errors.Is(err, errStale) {
			return resp, err
		}
	}
	protocols := []string{"http/1.1"}
	if rq.proto == "h2" && !rq.websocket {
		protocols = []string{"h2", "http/1.1"}
	}
	raw, err := s.connect(ctx, g, to, protocols)
	if wantsH2(err) {
		raw, err = s.connect(ctx, g, to, []string{"h2"})
	}
	if err != nil {
		return nil, err
	}
	if secured, ok := raw.(*tls.Conn); ok && secured.ConnectionState().NegotiatedProtocol == "h2" {
		conn, err := s.newH2Conn(g, to, raw)
		if err != nil {
			return nil, err
		}
		if rq.websocket {
			return s.openWebSocketH2(ctx, conn, to, rq)
		}
		return s.roundTripH2(ctx, conn, to, rq)
	}
	return s.newH1Conn(g, to, raw).roundTrip(ctx, rq)
}
