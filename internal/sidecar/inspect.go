package sidecar

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// inspectors joins egress and dlp: what a route says is done with what the engine finds.
type inspectors struct {
	engine       atomic.Pointer[dlp.Engine]
	tokens       *Tokens
	placeholders []string
	sink         audit.Sink
}

// newInspectors knows the bottle's own secrets, and what stands for them inside.
func newInspectors(tokens *Tokens, placeholders []string, sink audit.Sink) *inspectors {
	i := &inspectors{tokens: tokens, placeholders: placeholders, sink: sink}
	i.engine.Store(i.build())
	return i
}

func (i *inspectors) build() *dlp.Engine {
	known := i.tokens.known()
	for _, p := range i.placeholders {
		known = append(known, dlp.Known{Name: "placeholder", Value: secret.New(p), Canary: true})
	}
	return dlp.New(known)
}

// learn makes requests that begin from now on be looked at with the tokens of now.
func (i *inspectors) learn() {
	engine := i.build()
	engine.Warm()
	i.engine.Store(engine)
}

// Inspect implements egress.Inspectors.
func (i *inspectors) Inspect(x egress.Exchange) egress.Inspector {
	settings := x.Route.DLP
	if settings.OutboundOff {
		return nil
	}
	use := dlp.Detectors{Patterns: true, Known: true}
	if len(settings.Outbound) > 0 {
		use = dlp.Detectors{}
		for _, name := range settings.Outbound {
			use.Patterns = use.Patterns || name == "token_patterns"
			use.Known = use.Known || name == "known_secrets"
		}
	}
	redact := settings.OnMatch == "redact" || settings.OnMatch == "" && x.Route.Owner != ""
	return &inspection{inspectors: i, engine: i.engine.Load(), use: use, redact: redact, route: x.Route.Host, owned: x.Route.Owner != ""}
}

// inspection is one exchange.
type inspection struct {
	*inspectors
	engine *dlp.Engine // for the whole exchange
	use    dlp.Detectors
	redact bool
	route  string
	owned  bool // a provider's, where its placeholder is expected in a credential's header
	head   *egress.Head
	body   *dlp.Body
}

// refuse turns findings into the answer that the agent reads. It never holds what was found.
func (x *inspection) refuse(found []dlp.Finding) error {
	names := dlp.Names(found)
	place := found[0].Place
	for _, f := range found {
		if f.Rule == "canary" {
			x.note("the canary left in "+f.Place, f)
		}
	}
	reason := fmt.Sprintf("%s holds what looks like a secret (%s)", place, names)
	guidance := "A secret is not sent to this host. A credential for an API is put in by the sidecar: send the request without it."
	if strings.HasPrefix(found[0].Rule, "limit-") {
		reason = fmt.Sprintf("%s cannot be looked at to its end (%s)", place, names)
		guidance = "What cannot be scanned is not sent. Send it plain, or with less compression and fewer encodings on top of each other."
	}
	if len(found[0].Steps) > 0 {
		reason += ", after decoding " + strings.Join(found[0].Steps, ", ")
	}
	return &egress.Blocked{Layer: "dlp", Reason: reason, Rule: names, Guidance: guidance, NextSteps: []string{"take the value out of the request", "if it is no secret, tell the operator the rule and the host"}}
}

func (x *inspection) note(message string, f dlp.Finding) {
	e := audit.Event{Kind: "alarm", Layer: "dlp", Host: x.head.Host, Port: x.head.Port, Rule: f.Rule, Message: message, Reason: "fingerprint " + f.Fingerprint}
	x.sink.Record(e)
}

// Request looks at the head: each part by itself and all of them joined, so that a value split
// over two is found.
func (x *inspection) Request(_ context.Context, head *egress.Head) error {
	x.head = head
	x.stripped(head.Stripped)
	text, parts := headText(head)
	found := x.engine.Scan(text, "the request's head", x.use)
	if len(found) == 0 {
		return nil
	}
	if !x.redact {
		return x.refuse(found)
	}
	for _, f := range found {
		if !redactPart(parts, f) {
			return x.refuse(found)
		}
		x.note("redacted in the request's head", f)
	}
	for _, p := range parts {
		*p.value = string(p.text)
	}
	text, _ = headText(head)
	if found = x.engine.Scan(text, "the request's head", x.use); len(found) > 0 {
		return x.refuse(found)
	}
	return nil
}

// stripped looks at what was taken off the request: a placeholder in there did not leave, but
// shows that it was tried.
func (x *inspection) stripped(fields egress.Header) {
	if x.owned {
		return
	}
	for _, f := range fields {
		for _, p := range x.placeholders {
			if strings.Contains(f.Value, p) {
				x.note("the provider's placeholder was sent to another host in "+f.Name, dlp.Finding{Rule: "canary"})
			}
		}
	}
}

type part struct {
	at    int
	value *string
	text  []byte
}

// headText lays the head out as one text, and says where the parts stand that may be changed.
func headText(head *egress.Head) (text []byte, parts []part) {
	add := func(value *string, end string) {
		parts = append(parts, part{len(text), value, []byte(*value)})
		text = append(append(text, *value...), end...)
	}
	text = append(append(text, head.Method...), ' ')
	text = append(append(text, head.Host...), '\n')
	add(&head.Path, "\n")
	if head.HasQuery {
		add(&head.Query, "\n")
	}
	for i := range head.Header {
		f := &head.Header[i]
		if head.WebSocket && strings.EqualFold(f.Name, "Sec-WebSocket-Key") {
			continue // 16 random bytes, which were checked to be no more
		}
		text = append(append(text, f.Name...), ": "...)
		add(&f.Value, "\n")
	}
	return text, parts
}

func redactPart(parts []part, f dlp.Finding) bool {
	lo, hi := int(f.Offset), int(f.Offset)+f.Span
	for _, p := range parts {
		if f.Span > 0 && lo >= p.at && hi <= p.at+len(p.text) {
			dlp.Redact(p.text[lo-p.at:hi-p.at], len(f.Steps) == 0)
			return true
		}
	}
	return false
}

// RequestBody holds the body back until it was looked at.
func (x *inspection) RequestBody(_ context.Context, body io.Reader) io.Reader {
	h := x.head.Header
	if strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "application/grpc") {
		return x.engine.NewCalls(body, x.use, x.refuse)
	}
	var encodings []string
	for _, value := range h.Values("Content-Encoding") {
		for name := range strings.SplitSeq(value, ",") {
			encodings = append(encodings, strings.ToLower(strings.TrimSpace(name)))
		}
	}
	redact := x.redact
	for _, name := range []string{"Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "Signature", "X-Amz-Content-Sha256", "X-Hub-Signature-256"} {
		redact = redact && h.Count(name) == 0 // what is signed cannot be changed
	}
	s := x.engine.Stream("the request's body", x.use, encodings...)
	x.body = dlp.NewBody(body, s, redact, x.refuse)
	x.body.Redacted = func(f dlp.Finding) { x.note("redacted in the request's body", f) }
	return x.body
}

func (x *inspection) Response(context.Context, int, egress.Header) error { return nil }

func (x *inspection) ResponseBody(_ context.Context, body io.Reader) io.Reader { return body }

// Messages holds each outgoing message back until it was looked at.
func (x *inspection) Messages(_ context.Context, to egress.Direction, frames io.Reader) io.Reader {
	if to == egress.Inbound {
		return frames
	}
	return x.engine.NewFrames(frames, x.use, x.refuse)
}

func (x *inspection) Close() {
	if x.body != nil {
		x.body.Close()
	}
}

var _ egress.Inspectors = (*inspectors)(nil)
