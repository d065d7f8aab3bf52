package egress

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Peer is another part of the sidecar with a name of its own in the bottle, which speaks HTTP/1 on
// what Peer returns. It decides by itself about every request that is relayed to it.
type Peer func(context.Context) (net.Conn, error)

// peerOf finds the peer that an authority names.
func (s *Server) peerOf(authority string) (name string, dial Peer) {
	if len(s.deps.Peers) == 0 {
		return "", nil
	}
	name = hostOnly(authority)
	return name, s.deps.Peers[name]
}

// relay carries one request to a peer, parsed and written anew as everything is.
func (f *front) relay(ctx context.Context, in *incoming, name string, dial Peer) bool {
	ctx, cancel := context.WithCancel(ctx)
	f.s.waiting.add(f.base, cancel)
	defer f.s.waiting.remove(f.base)
	defer cancel()
	rq := f.request(in)
	x := &exchange{s: f.s, began: f.s.deps.Now()}
	x.event.Kind, x.event.Via, x.event.Proto, x.event.Scheme, x.event.Rule = "request", "plain", "http/1.1", "http", name
	x.event.Method, x.event.Host, x.event.Port = shown(in.line.method), name, 80
	return f.answer(ctx, in, x.relayed(ctx, rq, name, dial))
}

func (x *exchange) relayed(ctx context.Context, rq *request, name string, dial Peer) *exchange {
	if !strings.HasPrefix(rq.target, "/") || rq.websocket {
		return x.refuse(400, malformed("there is no such thing here"), rq)
	}
	conn, err := dial(ctx)
	if err != nil {
		return x.refuse(502, upstreamFailed(&causeError{"connect", errors.New(name + " does not answer")}), rq)
	}
	out := *rq
	out.authority = name
	out.header = append(withoutHops(rq.header), Field{"Connection", "close"})
	if rq.proceed != nil {
		if err := rq.proceed(); err != nil {
			_ = conn.Close()
			return x.refuse(400, malformed("the agent went away"), rq)
		}
	}
	if out.body != nil {
		out.body = &meter{out.body, &x.sent, &budget{}}
	}
	resp, err := x.s.newH1Conn(x.s.current.Load(), destination{host: name, port: 80}, conn).roundTrip(ctx, &out)
	if err != nil {
		return x.failed(err, &policy.Route{Host: name}, rq)
	}
	resp.header = answerHeader(resp.header)
	x.event.Verdict, x.event.Status = "allow", resp.status
	x.response = resp
	return x
}

// withoutHops leaves out the fields that end at this hop.
func withoutHops(h Header) Header {
	named := connectionNamed(h)
	out := make(Header, 0, len(h)+1)
fields:
	for _, field := range h {
		for _, n := range named {
			if strings.EqualFold(n, field.Name) {
				continue fields
			}
		}
		if !hopByHop(field.Name) && !strings.EqualFold(field.Name, "Host") && !strings.EqualFold(field.Name, "Expect") {
			out = append(out, field)
		}
	}
	return out
}
