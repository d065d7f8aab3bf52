package supervise

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Outcome is what a tool says, as JSON that a model can act on.
type Outcome struct {
	Status string `json:"status"` // "ok", "pending", "approved", "modified", "rejected", "expired", "withdrawn", "failed", "revoked"
	ID     string `json:"id,omitempty"`
	// Reason is the operator's own words.
	Reason string `json:"reason,omitempty"`
	Scope  string `json:"scope,omitempty"`
	// Approved is what is in force, where the operator made something else of what was asked.
	Approved json.RawMessage `json:"approved,omitempty"`
	Next     string          `json:"next,omitempty"`
	Routes   any             `json:"routes,omitempty"`
}

// propose asks, or finds what was asked before, and waits for the answer for a while. The same
// question is asked once: a decision stands for as long as the bottle runs, and the approval of a
// route for as long as the route is in force.
func (s *Server) propose(ctx context.Context, q ask.Question) (Outcome, error) {
	if p, ok := s.deps.Inbox.Latest(q); ok && s.decided(p) {
		return outcomeOf(p), nil
	}
	p, err := s.deps.Inbox.Submit(q, 0)
	if err != nil {
		return Outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	if p, err = s.deps.Inbox.Await(ctx, p.ID); err != nil {
		return Outcome{}, err
	}
	return outcomeOf(p), nil
}

// decided reports whether asking the same again would be asking twice.
func (s *Server) decided(p ask.Proposal) bool {
	switch {
	case p.State == ask.Refused:
		return true
	case p.State != ask.Granted && p.State != ask.Modified, p.Revoked:
		return false
	case p.Kind != ask.Route:
		return true
	}
	var route policy.Route
	return p.Answer != nil && json.Unmarshal(p.Answer.Candidate, &route) == nil && s.deps.Bottle.InForce(route)
}

func outcomeOf(p ask.Proposal) Outcome {
	out := Outcome{Status: string(p.State), ID: p.ID}
	if p.Answer != nil {
		out.Reason, out.Scope = p.Answer.Reason, string(p.Answer.Scope)
	}
	if p.Revoked {
		out.Status, out.Next = "revoked", "A person approved it and has taken it back since. Ask again only if the work cannot go on without it."
		return out
	}
	switch p.State {
	case ask.Pending:
		out.Next = "Nobody has answered yet. Go on with other work and call proposal-status with this id later."
	case ask.Granted, ask.Modified:
		out.Next = "It is in force now: try again what was refused."
		if p.Kind == ask.Capability {
			out.Next = "This bottle ends in a moment and starts again with it, and with your session."
		}
		if p.State == ask.Modified {
			out.Approved = p.Answer.Candidate
			out.Next = "The operator approved something else than was asked, see approved. " + out.Next
		}
	case ask.Refused:
		out.Next = "A person said no. Do what the reason says, or go on without it. Do not ask for the same again."
	case ask.Lapsed, ask.Withdrawn:
		out.Next = "Nobody answered in time. Ask once more if it still matters."
	case ask.Failed:
		out.Reason, out.Next = p.Problem, "It was approved and could not be done. Tell the operator."
	}
	return out
}

func (o Outcome) result() *mcp.CallToolResult {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(o); err != nil {
		return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: err.Error()}}}
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text.String()}}}
}
