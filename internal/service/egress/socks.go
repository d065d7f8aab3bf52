package egress

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// socksVersion begins a SOCKS5 connection (RFC 1928 §3). No HTTP method does.
const socksVersion = 5

// The replies of RFC 1928 §6.
const (
	socksOK          = 0
	socksFailed      = 1
	socksDenied      = 2
	socksUnreachable = 4
	socksRefused     = 5
	socksNoCommand   = 7
	socksNoAddress   = 8
)

// errSocks is a handshake that is not RFC 1928's.
var errSocks = errors.New("the SOCKS5 handshake is malformed")

// socksError is a request that is refused with a reply of its own.
type socksError struct {
	reply  byte
	reason string
}

func (e *socksError) Error() string { return e.reason }

// socks answers a SOCKS5 client. What a connection then carries is opened and decided on like
// everything else; a destination that no request could be allowed to is refused at once.
func (s *Server) socks(ctx context.Context, base *agentConn) {
	base.until(s.deps.Now().Add(s.limits.Head))
	a := &arrival{via: "socks5", full: base.full}
	err := socksGreeting(base)
	if err == nil {
		var host string
		host, a.port, err = socksRequest(base)
		s.socksName(a, host)
	}
	if err != nil {
		s.refusedConnection(a, err.Error())
		var refused *socksError
		if errors.As(err, &refused) {
			_ = socksReply(base, refused.reply)
			return
		}
		base.reset()
		return
	}
	if _, dial := s.peerOf(a.name); dial != nil || a.name == policy.InternalHost {
		if socksReply(base, socksOK) == nil {
			s.internal(ctx, base, a.port)
		}
		return
	}
	if a.full {
		s.limitedConnection(a, s.tooManyConnections())
		_ = socksReply(base, socksFailed)
		return
	}
	rules := s.current.Load().rules
	decision := rules.DecideHost(a.name, a.port)
	if !decision.Allow && !s.asks(rules, decision) {
		s.deniedConnection(a, decision)
		_ = socksReply(base, socksDenied)
		return
	}
	if route := s.tcpRoute(a); route != nil {
		s.carry(ctx, base, a, route, func(_ int, r *Refusal) error { return socksReply(base, socksOutcome(r)) })
		return
	}
	if socksReply(base, socksOK) == nil {
		s.transparent(ctx, base, a)
	}
}

// socksOutcome is how a dial went, as a reply.
func socksOutcome(r *Refusal) byte {
	switch {
	case r == nil:
		return socksOK
	case r.Cause == "":
		return socksDenied
	case r.Cause == "connect":
		return socksRefused
	}
	return socksUnreachable
}

// socksName is the canonical name of a target: an address that the resolver gave out stands for
// its name (socks5), a name for itself (socks5h).
func (s *Server) socksName(a *arrival, host string) {
	if canonical, err := policy.CanonicalHost(host); err == nil {
		host = canonical
	}
	a.name = host
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return
	}
	if sidecarAddress(addr) {
		a.name = policy.InternalHost
		return
	}
	if name := s.arrivalAt(addr, a.port).name; name != "" {
		a.name = name
	}
}

// socksGreeting agrees on a method. A user name and password are taken and mean nothing: who
// reaches this port is the bottle (RFC 1928 §3, RFC 1929).
func socksGreeting(base *agentConn) error {
	var head [2]byte
	if _, err := io.ReadFull(base, head[:]); err != nil || head[0] != socksVersion || head[1] == 0 {
		return errSocks
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(base, methods); err != nil {
		return errSocks
	}
	switch {
	case bytes.IndexByte(methods, 0) >= 0:
		_, err := base.Write([]byte{socksVersion, 0})
		return err
	case bytes.IndexByte(methods, 2) < 0:
		_, _ = base.Write([]byte{socksVersion, 0xff})
		return errors.New("the SOCKS5 client offers no method that is spoken here")
	}
	if _, err := base.Write([]byte{socksVersion, 2}); err != nil {
		return err
	}
	if _, err := io.ReadFull(base, head[:1]); err != nil || head[0] != 1 {
		return errSocks
	}
	for range 2 { // the name, the password
		if _, err := socksText(base); err != nil {
			return err
		}
	}
	_, err := base.Write([]byte{1, 0})
	return err
}

func socksText(base *agentConn) (string, error) {
	var length [1]byte
	if _, err := io.ReadFull(base, length[:]); err != nil {
		return "", errSocks
	}
	text := make([]byte, length[0])
	if _, err := io.ReadFull(base, text); err != nil {
		return "", errSocks
	}
	return string(text), nil
}

// socksRequest reads where the client wants to go (RFC 1928 §4, §5).
func socksRequest(base *agentConn) (host string, port uint16, err error) {
	var head [4]byte
	if _, err := io.ReadFull(base, head[:]); err != nil || head[0] != socksVersion || head[2] != 0 {
		return "", 0, errSocks
	}
	var raw []byte
	switch head[3] {
	case 1:
		raw = make([]byte, 4)
	case 4:
		raw = make([]byte, 16)
	case 3:
		if host, err = socksText(base); err != nil {
			return "", 0, err
		}
	default:
		return "", 0, &socksError{socksNoAddress, fmt.Sprintf("SOCKS5 has no address type %d", head[3])}
	}
	if _, err := io.ReadFull(base, raw); err != nil {
		return "", 0, errSocks
	}
	if addr, ok := netip.AddrFromSlice(raw); ok {
		host = addr.Unmap().String()
	}
	var end [2]byte
	if _, err := io.ReadFull(base, end[:]); err != nil {
		return "", 0, errSocks
	}
	port = binary.BigEndian.Uint16(end[:])
	if head[1] != 1 {
		return host, port, &socksError{socksNoCommand, fmt.Sprintf("SOCKS5 command %d is refused: only CONNECT is carried, and no UDP", head[1])}
	}
	if port == 0 {
		return host, port, &socksError{socksDenied, "port 0 is no port"}
	}
	return host, port, nil
}

func socksReply(base *agentConn, reply byte) error {
	_, err := base.Write([]byte{socksVersion, reply, 0, 1, 0, 0, 0, 0, 0, 0})
	return err
}

// deniedConnection records a connection that no rule admits.
func (s *Server) deniedConnection(a *arrival, d policy.Decision) {
	s.deps.Audit.Record(audit.Event{
		Time: s.deps.Now().UTC(), Kind: "connect", Verdict: "deny", Layer: d.Layer, Via: a.via, Proto: "tcp",
		Host: shown(a.name), Port: a.port, Reason: shown(d.Reason), Rule: shown(d.RuleMissing),
	})
}
