package sidecar

import (
	"context"
	"io"
	"strings"
	"sync/atomic"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// inspectors joins egress and dlp: what a route says is done with what the engine finds.
type inspectors struct {
	engine          atomic.Pointer[dlp.Engine]
	memory          *dlp.Memory
	tokens, guarded *Tokens
	placeholders    []string
	cleared         *cleared
	alarms          *alarms
	approved        *approvals
	refused         *refusals
	asker           ask.Asker // set before anything is inspected; nil: nobody can be asked
}

// newInspectors knows the bottle's own secrets, and what stands for them inside.
func newInspectors(tokens, guarded *Tokens, placeholders []string, sink audit.Sink) *inspectors {
	i := &inspectors{
		tokens: tokens, guarded: guarded, placeholders: placeholders,
		memory: dlp.NewMemory(nil), cleared: newCleared(), alarms: newAlarms(sink), approved: &approvals{}, refused: &refusals{},
	}
	i.engine.Store(i.build())
	return i
}

func (i *inspectors) build() *dlp.Engine {
	secrets := known(i.tokens, i.guarded, i.placeholders)
	if key, err := i.guarded.Token(control.KeyRef); err == nil {
		return dlp.Keyed(secrets, []byte(key.Reveal()))
	}
	return dlp.New(secrets)
}

// learn makes requests that begin from now on be looked at with the tokens of now.
func (i *inspectors) learn() {
	engine := i.build()
	engine.Warm()
	i.engine.Store(engine)
}

// mode is what is done about a finding.
type mode uint8

const (
	block mode = iota
	redact
	supervise
)

// Inspect implements egress.Inspectors.
func (i *inspectors) Inspect(x egress.Exchange) egress.Inspector {
	settings := x.Route.DLP
	n := &inspection{inspectors: i, engine: i.engine.Load(), route: x.Route, use: detectors(settings), mode: modeOf(x.Route)}
	n.use.Allow = n.allows
	if x.Route.Owner == "" {
		n.use.Pieces = i.memory
	}
	return n
}

func detectors(d policy.DLP) dlp.Detectors {
	switch {
	case d.OutboundOff:
		return dlp.Detectors{}
	case len(d.Outbound) == 0:
		return dlp.Detectors{Patterns: true, Known: true}
	}
	var use dlp.Detectors
	for _, name := range d.Outbound {
		use.Patterns = use.Patterns || name == "token_patterns"
		use.Known = use.Known || name == "known_secrets"
		use.Entropy = use.Entropy || name == "entropy"
	}
	return use
}

// modeOf is what a route says; without a word a provider's own redacts, so that a conversation
// goes on, and every other asks.
func modeOf(route *policy.Route) mode {
	switch route.DLP.OnMatch {
	case "block":
		return block
	case "redact":
		return redact
	case "supervise":
		return supervise
	}
	if route.Owner != "" {
		return redact
	}
	return supervise
}

// inspection is one exchange.
type inspection struct {
	*inspectors
	engine  *dlp.Engine // for the whole exchange
	use     dlp.Detectors
	mode    mode
	route   *policy.Route
	head    *egress.Head
	path    string // as the agent sent it, canonical
	body    *dlp.Body
	inbound *inbound
	once    []approval // what was approved for this exchange alone
	passed  int        // findings that were allowed

	stop context.CancelFunc // of what waits for the operator
}

// owned is true for a provider's route, where its placeholder is expected in a credential's header.
func (x *inspection) owned() bool { return x.route.Owner != "" }

// scans reports whether anything is looked for in what leaves.
func (x *inspection) scans() bool { return x.use.Patterns || x.use.Known || x.use.Entropy }

// Request looks at the head: each part by itself and all of them joined, so that a value split
// over two is found.
func (x *inspection) Request(ctx context.Context, head *egress.Head) error {
	x.head, x.path = head, head.Path
	x.stripped(head.Stripped)
	if err := x.breaks(head); err != nil {
		return err
	}
	if !x.scans() {
		return nil
	}
	ctx, x.stop = context.WithCancel(ctx)
	if x.use.Pieces != nil {
		x.memory.Begin()
	}
	if labels := wildLabels(x.route.Host, head.Host); labels != "" {
		if found := x.engine.Labels(labels, x.use); len(found) > 0 {
			if err := x.decide(ctx, found); err != nil {
				return err
			}
		}
	}
	if err := x.headers(ctx, head); err != nil {
		return err
	}
	if x.use.Pieces == nil {
		return nil
	}
	if found := x.memory.Values(x.engine, headValues(x.route.Host, head), "the request's head", x.use); len(found) > 0 {
		return x.decide(ctx, found)
	}
	return nil
}

// headers scans the head, and redacts it where the route says so and that is enough.
func (x *inspection) headers(ctx context.Context, head *egress.Head) error {
	text, parts := headText(head)
	sum := x.cleared.sum(text, x.use)
	if x.cleared.has(x.engine, sum) {
		return nil
	}
	allowed := x.passed
	found := x.scanHead(text, parts[:targets(head)])
	if len(found) == 0 {
		if x.passed == allowed { // else it is another question at another path
			x.cleared.add(x.engine, sum)
		}
		return nil
	}
	if x.mode != redact {
		return x.decide(ctx, found)
	}
	sealed := signing(head)
	r := dlp.Redaction{
		Whole: true, Conversation: x.owned(),
		May:   func(f dlp.Finding) bool { return !sealed && x.redactable(f) && within(parts, f) },
		Again: func() []dlp.Finding { return x.scanHead(text, parts[:targets(head)]) },
		Alone: func(value []byte) []dlp.Finding { return x.engine.Scan(value, "the request's head", x.use) },
	}
	if head.HasQuery {
		r.Query = [2]int{parts[1].at, parts[1].at + parts[1].n}
	}
	done, rest := r.Replace(text, 0, found)
	if rest != nil {
		return x.decide(ctx, rest)
	}
	for _, p := range parts {
		*p.value = string(text[p.at : p.at+p.n])
	}
	for _, f := range done {
		x.redacted(f)
	}
	return nil
}

// scanHead looks at the head as one text; entropy only at what the agent puts into the target,
// because headers are full of what was drawn by lot.
func (x *inspection) scanHead(text []byte, target []part) []dlp.Finding {
	use := x.use
	use.Entropy = false
	found := x.engine.Scan(text, "the request's head", use)
	for _, f := range x.engine.Caseless(caseless(x.head), "the request's head", use) {
		f.Offset, f.Span = 0, 0
		found = append(found, f)
	}
	if text := byName(x.head); text != nil && len(found) == 0 {
		for _, f := range x.engine.Scan(text, "the request's head", use) {
			f.Offset, f.Span = 0, 0
			found = append(found, f)
		}
	}
	if !x.use.Entropy {
		return found
	}
	for _, p := range target {
		for _, f := range x.engine.Scan(text[p.at:p.at+p.n], "the request's head", dlp.Detectors{Entropy: true, Allow: x.use.Allow}) {
			f.Offset += int64(p.at)
			found = append(found, f)
		}
	}
	return found
}

// RequestBody holds the body back until it was looked at.
func (x *inspection) RequestBody(ctx context.Context, body io.Reader) io.Reader {
	if !x.scans() {
		return body
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := x.stop
	x.stop = func() { cancel(); stop() }
	verdict := func(found []dlp.Finding) error { return x.decide(ctx, found) }
	h := x.head.Header
	if strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "application/grpc") {
		return x.engine.NewCalls(body, x.use, x.options(verdict))
	}
	var small *remembered
	if x.use.Pieces != nil {
		small = &remembered{Reader: body, x: x, kind: h.Get("Content-Type")}
		body = small
	}
	s := x.engine.Stream("the request's body", x.use, encodings(h)...)
	x.body = dlp.NewBody(body, s, x.mode == redact && changeable(x.head), verdict)
	x.body.Form, x.body.Conversation = dlp.FormOf(h.Get("Content-Type")), x.owned()
	x.body.Redactable = x.redactable
	x.body.Redacted = x.redacted
	if small != nil {
		x.body.Last = small.last
	}
	return x.body
}

func encodings(h egress.Header) []string {
	var out []string
	for _, value := range h.Values("Content-Encoding") {
		for name := range strings.SplitSeq(value, ",") {
			out = append(out, strings.ToLower(strings.TrimSpace(name)))
		}
	}
	return out
}

// Messages holds each outgoing message back until it was looked at; incoming ones pass.
func (x *inspection) Messages(ctx context.Context, to egress.Direction, frames io.Reader) io.Reader {
	if to == egress.Inbound || !x.scans() {
		return frames
	}
	return x.engine.NewFrames(frames, x.use, x.options(func(found []dlp.Finding) error { return x.decide(ctx, found) }))
}

// options are how messages are treated; a control frame or a binary message is never changed.
func (x *inspection) options(verdict dlp.Verdict) dlp.Options {
	return dlp.Options{Verdict: verdict, Redact: x.mode == redact, Redactable: x.redactable, Redacted: x.redacted, Conversation: x.owned()}
}

// Close ends what is under way, also a question that nobody has answered.
func (x *inspection) Close() {
	if x.stop != nil {
		x.stop()
	}
	if x.body != nil {
		x.body.Close()
	}
	if x.inbound != nil {
		x.inbound.close()
	}
}

var _ egress.Inspectors = (*inspectors)(nil)
