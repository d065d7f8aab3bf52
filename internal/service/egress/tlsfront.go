package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

var errNoName = errors.New("the TLS handshake names another host than its ClientHello")

// tlsFront opens the agent's TLS with the bottle's CA and serves the HTTP in it, or passes it
// through where the route says so. A refused host is opened too: the refusal is an HTTP answer.
func (s *Server) tlsFront(ctx context.Context, base *agentConn, a *arrival) {
	raw, err := base.peek(maxHello+4<<10, helloComplete)
	if err != nil {
		s.refusedConnection(a, "the TLS ClientHello did not arrive")
		base.reset()
		return
	}
	hello, err := parseHello(raw)
	if err == nil {
		err = s.name(a, hello)
	}
	if err != nil {
		s.refusedConnection(a, err.Error())
		base.reset()
		return
	}
	decision := s.current.Load().rules.DecideHost(a.name, a.port)
	if decision.Allow && a.conflict == "" && decision.Route.TLS == policy.TLSPassthrough {
		s.splice(ctx, base, a, decision.Route, hello)
		return
	}
	s.opened(ctx, base, a)
}

// name settles which host a TLS connection is for. Where SNI and the connection differ the
// handshake is still made, for the name that the agent expects, and every request in it is
// answered 421.
func (s *Server) name(a *arrival, hello clientHello) error {
	a.tls = true
	if hello.serverName == "" {
		if a.name == "" {
			return errors.New("the TLS ClientHello names no host, and the address stands for none")
		}
		return nil
	}
	sni, err := policy.CanonicalHost(hello.serverName)
	if err != nil {
		return fmt.Errorf("SNI: %w", err)
	}
	if _, err := netip.ParseAddr(sni); err == nil && sni != a.name {
		return errors.New("SNI is an address") // RFC 6066 §3 forbids it
	}
	if a.name == "" {
		a.name = sni
	}
	if sni != a.name {
		a.conflict = fmt.Sprintf("the connection is to %s and its SNI is %s", a.name, sni)
		a.name = sni
	}
	return nil
}

// opened makes the handshake as the host and serves HTTP/2 or HTTP/1.1, whatever was agreed.
func (s *Server) opened(ctx context.Context, base *agentConn, a *arrival) {
	base.name = a.name
	conn := tls.Server(base, s.agentTLS)
	handshake, cancel := context.WithTimeout(ctx, s.limits.Head)
	err := conn.HandshakeContext(handshake)
	cancel()
	if err != nil {
		s.refusedConnection(a, "the TLS handshake failed: "+err.Error())
		return
	}
	defer func() {
		_ = base.SetWriteDeadline(s.deps.Now().Add(time.Second))
		_ = conn.CloseWrite()
	}()
	base.until(time.Time{})
	if conn.ConnectionState().NegotiatedProtocol == "h2" {
		s.serveH2(ctx, base, conn, a)
		return
	}
	s.newFront(base, conn).serve(ctx, a)
}

// newAgentTLS is the configuration of every handshake with the bottle. It is one for all, so
// that sessions resume.
func (s *Server) newAgentTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		// What is said here stays between bottle and sidecar, so nobody can keep it for the computers
		// of later; without them a handshake costs a fifth less.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
		Time:             s.deps.Now,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			base, ok := hello.Conn.(*agentConn)
			if !ok {
				return nil, errNoName
			}
			// Two parsers read the ClientHello: they must have read the same name.
			if hello.ServerName != "" {
				if sni, err := policy.CanonicalHost(hello.ServerName); err != nil || sni != base.name {
					return nil, errNoName
				}
			}
			return s.deps.CA.Leaf(base.name)
		},
	}
}

// explicitBuffer sees to it that what a client sent right after CONNECT is not lost.
func unread(base *agentConn, br *bufio.Reader) {
	if n := br.Buffered(); n > 0 {
		rest, _ := br.Peek(n)
		base.peeked = append(append([]byte(nil), rest...), base.peeked...)
		_, _ = br.Discard(n)
	}
}
