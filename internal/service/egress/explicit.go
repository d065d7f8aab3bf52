package egress

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// explicit speaks to a client that knows it talks to a proxy: SOCKS5, CONNECT and absolute form.
// A request in origin form is for the sidecar's own pages.
func (s *Server) explicit(ctx context.Context, base *agentConn) {
	base.until(s.deps.Now().Add(s.limits.FirstByte))
	if first, err := base.peek(1, func(b []byte) bool { return len(b) > 0 }); err == nil && first[0] == socksVersion {
		s.socks(ctx, base)
		return
	}
	if !s.plainHTTP(base) {
		s.refusedConnection(&arrival{via: "absolute"}, "the proxy port speaks HTTP/1 and SOCKS5 only")
		base.reset()
		return
	}
	f := s.newFront(base, base)
	for ctx.Err() == nil {
		in, err := f.next()
		if err != nil {
			f.malformed(&arrival{via: "absolute"}, err)
			return
		}
		if in.line.method == "CONNECT" {
			s.connectMethod(ctx, f, in)
			return
		}
		if !s.absolute(ctx, f, in) {
			return
		}
	}
}

// absolute answers one request in absolute form (RFC 9112 §3.2.2).
func (s *Server) absolute(ctx context.Context, f *front, in *incoming) bool {
	if strings.HasPrefix(in.line.target, "/") {
		if hostOnly(in.header.Get("Host")) == policy.InternalHost || in.header.Count("Host") == 1 {
			return f.page(ctx, in)
		}
		f.malformed(&arrival{via: "absolute"}, errStartLine)
		return false
	}
	authority, target, err := splitAbsolute(in.line.target)
	if err == nil && in.header.Count("Host") > 1 {
		err = errFraming
	}
	if err != nil {
		f.malformed(&arrival{via: "absolute"}, err)
		return false
	}
	if hostOnly(authority) == policy.InternalHost {
		in.line.target = target
		return f.page(ctx, in)
	}
	if name, dial := f.s.peerOf(authority); dial != nil {
		in.line.target = target
		return f.relay(ctx, in, name, dial)
	}
	host, port, err := splitAuthority(authority)
	if err != nil {
		f.malformed(&arrival{via: "absolute"}, err)
		return false
	}
	a := &arrival{via: "absolute", name: host, port: port, full: f.base.full}
	if port == 0 {
		a.port = 80
	}
	if in.header.Count("Host") == 0 { // HTTP/1.0 clients; the target says it
		in.header = append(in.header, Field{"Host", authority})
	}
	in.line.target = target
	return f.one(ctx, a, in)
}

// splitAbsolute takes an absolute-form target apart without changing its path.
func splitAbsolute(target string) (authority, origin string, err error) {
	rest, ok := cutPrefixFold(target, "http://")
	if !ok {
		return "", "", fmt.Errorf("%w: want http://, and CONNECT for https", errStartLine)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, origin = rest[:end], rest[end:]
	if !strings.HasPrefix(origin, "/") {
		origin = "/" + origin
	}
	if _, err := url.ParseRequestURI(origin); err != nil {
		return "", "", errStartLine
	}
	return authority, origin, nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// connectMethod opens a tunnel that is no tunnel: what is sent in it is opened and decided on
// like everything else.
func (s *Server) connectMethod(ctx context.Context, f *front, in *incoming) {
	host, port, err := splitAuthority(in.line.target)
	a := &arrival{via: "connect", name: host, port: port}
	if err == nil && port == 0 {
		err = fmt.Errorf("%w: CONNECT wants host:port", errStartLine)
	}
	if err == nil && (in.body != nil || in.header.Count("Host") > 1) {
		err = errFraming
	}
	if err != nil {
		a.name = shown(in.line.target)
		f.malformed(a, err)
		return
	}
	if _, dial := s.peerOf(host); dial != nil { // clients that open a tunnel for plain HTTP, too
		if _, err := f.bw.WriteString("HTTP/1.1 200 Connection established\r\n\r\n"); err == nil && f.bw.Flush() == nil {
			unread(f.base, f.br)
			s.internal(ctx, f.base, port)
		}
		return
	}
	rq := f.request(in)
	rq.target = "/"
	if refusal := connectConflict(a, in.header); refusal != nil {
		f.answer(ctx, in, s.denied(a, rq, 421, refusal))
		return
	}
	if f.base.full {
		in.keepAlive = false
		f.answer(ctx, in, s.denied(a, rq, 503, s.tooManyConnections()))
		return
	}
	rules := s.current.Load().rules
	if d := rules.DecideHost(host, port); !d.Allow && !s.asks(rules, d) {
		in.keepAlive = false
		f.answer(ctx, in, s.denied(a, rq, 403, s.refusalOf(d)))
		return
	}
	if route := s.tcpRoute(a); route != nil {
		unread(f.base, f.br)
		s.carry(ctx, f.base, a, route, func(status int, r *Refusal) error {
			if r == nil {
				return f.established()
			}
			r.Method = "CONNECT"
			_, err := f.write(in, r.response(status), false)
			return err
		})
		return
	}
	if f.established() != nil {
		return
	}
	unread(f.base, f.br)
	f.base.until(time.Time{})
	s.transparent(ctx, f.base, a)
}

// established is the answer to a CONNECT that is let through.
func (f *front) established() error {
	_, _ = f.bw.WriteString("HTTP/1.1 200 Connection established\r\n\r\n")
	return f.bw.Flush()
}

// connectConflict: the Host of a CONNECT, where there is one, names the target (RFC 9110 §9.3.6).
func connectConflict(a *arrival, h Header) *Refusal {
	if h.Count("Host") == 0 {
		return nil
	}
	host, port, err := splitAuthority(h.Get("Host"))
	if err != nil {
		return malformed("Host: " + err.Error())
	}
	if host != a.name || port != 0 && port != a.port {
		return misdirected(fmt.Sprintf("CONNECT is to %s and its Host is %s", a.name, host))
	}
	return nil
}

// denied is an exchange that is refused before there is anything to decide on.
func (s *Server) denied(a *arrival, rq *request, status int, r *Refusal) *exchange {
	x := &exchange{s: s, began: s.deps.Now()}
	x.event.Kind, x.event.Via, x.event.Proto = "request", a.via, rq.proto
	x.event.Method, x.event.Host, x.event.Port = shown(rq.method), shown(a.name), a.port
	if rq.method == "CONNECT" {
		x.event.Kind = "connect"
	}
	return x.refuse(status, r, rq)
}
