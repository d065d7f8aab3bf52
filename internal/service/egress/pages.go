package egress

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// RouteView is a route as the agent may see it: no reference, no address, no certificate.
type RouteView struct {
	Host     string          `json:"host"`
	Ports    []uint16        `json:"ports"`
	Matches  []policy.Match  `json:"matches,omitempty"`
	Protocol policy.Protocol `json:"protocol"`
	Injected bool            `json:"credential_injected"`
	TLS      policy.TLSMode  `json:"tls,omitempty"`
	Git      policy.GitMode  `json:"git,omitempty"`
	Owner    string          `json:"owner,omitempty"`
}

// Allowlist returns the live routes without values.
func (s *Server) Allowlist() []RouteView {
	routes := s.current.Load().rules.Routes()
	views := make([]RouteView, 0, len(routes))
	for i := range routes {
		r := &routes[i]
		view := RouteView{Host: r.Host, Ports: r.Ports, Matches: r.Matches, Protocol: r.Protocol, Injected: r.Auth != nil, TLS: r.TLS, Git: r.Git, Owner: r.Owner}
		if len(view.Ports) == 0 {
			view.Ports = []uint16{80, 443}
		}
		if view.Protocol == "" {
			view.Protocol = policy.ProtocolHTTP
		}
		if view.TLS == "" && view.Protocol == policy.ProtocolHTTP {
			view.TLS = policy.TLSIntercept
		}
		if view.Git == "" && view.Protocol == policy.ProtocolHTTP {
			view.Git = policy.GitNone
		}
		views = append(views, view)
	}
	return views
}

// internal serves the sidecar's own pages on its own address. Other ports answer too, where the
// client speaks HTTP, so that the agent reads what is there instead of guessing.
func (s *Server) internal(ctx context.Context, base *agentConn, port uint16) {
	a := &arrival{via: "plain", name: policy.InternalHost, port: port}
	base.until(s.deps.Now().Add(s.limits.FirstByteDeny))
	if !s.plainHTTP(base) {
		s.refusedConnection(a, "the sidecar's own address speaks HTTP/1 only")
		base.reset()
		return
	}
	f := s.newFront(base, base)
	for ctx.Err() == nil {
		in, err := f.next()
		if err != nil {
			f.malformed(a, err)
			return
		}
		if !f.page(ctx, in) {
			return
		}
	}
}

// page answers a request for the internal pages, or hands it to the peer that it is for.
func (f *front) page(ctx context.Context, in *incoming) bool {
	if name, dial := f.s.peerOf(in.header.Get("Host")); dial != nil {
		return f.relay(ctx, in, name, dial)
	}
	path, _, _ := strings.Cut(in.line.target, "?")
	a := &arrival{via: "plain", name: policy.InternalHost, port: 80}
	rq := f.request(in)
	var resp *response
	reading := in.line.method == "GET" || in.line.method == "HEAD"
	switch {
	case reading && path == "/allowlist":
		resp = jsonResponse(struct {
			Routes []RouteView `json:"routes"`
		}{f.s.Allowlist()})
	case reading && path == "/healthz":
		resp = jsonResponse(struct {
			Status string `json:"status"`
		}{"ok"})
	default:
		r := &Refusal{
			Error: "denied", Layer: policy.LayerEgress, Reason: "there is no such page", RuleMissing: "none: no route can allow it",
			Guidance:  "This is the sidecar of this bottle. It has /allowlist and /healthz.",
			NextSteps: []string{"GET http://" + policy.InternalHost + "/allowlist"},
		}
		return f.answer(ctx, in, f.s.denied(a, rq, 404, r))
	}
	x := &exchange{s: f.s, began: f.s.deps.Now(), response: resp}
	x.event.Kind, x.event.Via, x.event.Proto, x.event.Verdict, x.event.Rule = "request", "plain", "http/1.1", "allow", "internal"
	x.event.Method, x.event.Host, x.event.Port, x.event.Status = in.line.method, policy.InternalHost, 80, resp.status
	return f.answer(ctx, in, x)
}

func jsonResponse(v any) *response {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return &response{status: 500, length: 0, body: noBody{}}
	}
	return &response{
		status: 200, length: int64(body.Len()), body: io.NopCloser(&body),
		header: Header{{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}},
	}
}
