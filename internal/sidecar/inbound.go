package sidecar

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// inbound looks at one answer as it goes by. An alarm goes to the log and the answer to the
// agent; a route that blocks ends the answer before the read that completes a finding is passed on.
type inbound struct {
	io.Reader
	x      *inspection
	look   *dlp.Inbound
	blocks bool
	done   bool
}

// Response chooses what is looked for in an answer.
func (x *inspection) Response(_ context.Context, _ int, header egress.Header) error {
	d := x.route.DLP
	if !textual(header.Get("Content-Type")) || x.head == nil {
		return nil
	}
	orders, echo := seeksOrders(d), x.use.Known
	if orders || echo {
		x.inbound = &inbound{
			x: x, blocks: d.InboundOnMatch == "block" && !d.InboundOff,
			look: x.engine.Inbound("the answer", orders, echo, encodings(header)...),
		}
	}
	return nil
}

func seeksOrders(d policy.DLP) bool {
	return !d.InboundOff && (len(d.Inbound) == 0 || slices.Contains(d.Inbound, "naive_injection_detection"))
}

// ResponseBody passes an answer on as it comes.
func (x *inspection) ResponseBody(_ context.Context, body io.Reader) io.Reader {
	if x.inbound == nil {
		return body
	}
	x.inbound.Reader = body
	return x.inbound
}

func (i *inbound) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if i.done {
		return n, err
	}
	found := i.look.Write(p[:n])
	if errors.Is(err, io.EOF) {
		found = append(found, i.end()...)
	}
	for _, f := range found {
		if i.blocks {
			i.x.alarms.alarm(i.x.head, "cut off: the answer holds "+wordsFor(f), f)
			return 0, &egress.Blocked{Layer: "dlp", Rule: f.Rule, Reason: "the answer holds " + wordsFor(f)}
		}
		i.x.alarms.alarm(i.x.head, "the answer holds "+wordsFor(f), f)
	}
	return n, err
}

func (i *inbound) end() []dlp.Finding {
	if i.done {
		return nil
	}
	i.done = true
	return i.look.Close()
}

// close is for an answer that was not read to its end.
func (i *inbound) close() { _ = i.end() }

func wordsFor(f dlp.Finding) string {
	if strings.HasPrefix(f.Rule, "known-secret:") {
		return "a secret of this bottle, which the agent does not have"
	}
	return "what reads like orders to the agent"
}

// textual reports whether a model would be shown an answer of this type.
func textual(kind string) bool {
	kind, _, _ = strings.Cut(strings.ToLower(kind), ";")
	kind = strings.TrimSpace(kind)
	if strings.HasPrefix(kind, "text/") || kind == "" {
		return true
	}
	for _, word := range []string{"json", "xml", "javascript", "yaml", "markdown", "graphql", "x-sh"} {
		if strings.Contains(kind, word) {
			return true
		}
	}
	return false
}
