package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// longCandidate is what a list leaves out of proposals that are decided.
const longCandidate = 2 << 10

// asker puts questions on the desk, where the bottle's file lets the agent ask; else it is nil.
func (p *process) asker(config Config) ask.Asker {
	if !config.Supervise {
		return nil
	}
	return lateDesk{p}
}

// lateDesk finds the desk when it is used: it knows what is in force, so it is made last, before
// anything of the bottle is served.
type lateDesk struct{ p *process }

// Ask implements ask.Asker.
func (l lateDesk) Ask(ctx context.Context, q ask.Question) (ask.Answer, error) {
	return l.p.desk.Load().Ask(ctx, q)
}

// Submit implements supervise.Inbox.
func (l lateDesk) Submit(q ask.Question, lifetime time.Duration) (ask.Proposal, error) {
	return l.p.desk.Load().Submit(q, lifetime)
}

// Await implements supervise.Inbox.
func (l lateDesk) Await(ctx context.Context, id string) (ask.Proposal, error) {
	return l.p.desk.Load().Await(ctx, id)
}

// Latest implements supervise.Inbox.
func (l lateDesk) Latest(q ask.Question) (ask.Proposal, bool) { return l.p.desk.Load().Latest(q) }

// Proposal implements supervise.Inbox.
func (l lateDesk) Proposal(id string) (ask.Proposal, error) { return l.p.desk.Load().Proposal(id) }

// kinds are what can be asked about, and who judges and applies it.
func (p *process) kinds(config Config) map[ask.Kind]desk.Kind {
	kinds := map[ask.Kind]desk.Kind{ask.Route: routeKind{p}, ask.Value: valueKind{p.inspectors}}
	if config.Capability.Form != "" {
		kinds[ask.Capability] = capabilityKind{config.Capability}
	}
	return kinds
}

func (p *process) inboxMethods() map[string]control.Handler {
	return map[string]control.Handler{
		control.MethodProposals: p.proposals,
		control.MethodProposal:  p.proposal,
		control.MethodDecide:    p.decide,
		control.MethodFiled:     p.filed,
	}
}

func (p *process) proposals(ctx context.Context, params []byte) (any, error) {
	var query control.ProposalsQuery
	if err := control.Decode(params, &query); err != nil {
		return nil, err
	}
	inbox := p.desk.Load()
	if inbox == nil {
		return nil, notConfigured()
	}
	ctx, cancel := context.WithTimeout(ctx, control.LongestWait)
	defer cancel()
	s := inbox.Snapshot(ctx, query.Since)
	all := control.Proposals{Revision: s.Revision, Proposals: s.Proposals}
	for i := range all.Proposals {
		one := &all.Proposals[i]
		if !one.State.Open() && len(one.Candidate) > longCandidate {
			one.Candidate = nil
			if one.Answer != nil {
				short := *one.Answer
				short.Candidate = nil
				one.Answer = &short
			}
		}
	}
	return all, nil
}

func (p *process) proposal(_ context.Context, params []byte) (any, error) {
	var ref control.ProposalRef
	if err := control.Decode(params, &ref); err != nil {
		return nil, err
	}
	inbox := p.desk.Load()
	if inbox == nil {
		return nil, notConfigured()
	}
	return inbox.Proposal(ref.ID)
}

func (p *process) decide(_ context.Context, params []byte) (any, error) {
	var by ask.Decision
	if err := control.Decode(params, &by); err != nil {
		return nil, err
	}
	by.Candidate = bytes.Clone(by.Candidate) // the message is wiped
	inbox := p.desk.Load()
	if inbox == nil {
		return nil, notConfigured()
	}
	return inbox.Decide(by)
}

func (p *process) filed(_ context.Context, params []byte) (any, error) {
	var ref control.ProposalRef
	if err := control.Decode(params, &ref); err != nil {
		return nil, err
	}
	inbox := p.desk.Load()
	if inbox == nil {
		return nil, notConfigured()
	}
	return nil, inbox.Filed(ref.ID)
}

// routeKind judges and applies candidates for routes against the policy in force.
type routeKind struct{ p *process }

// Effect implements desk.Kind.
func (k routeKind) Effect(candidate json.RawMessage) ([]ask.Fact, error) {
	route, err := decodeRoute(candidate)
	if err != nil {
		return nil, err
	}
	offered, err := k.p.egress.Load().Rules().Offer(route)
	if err != nil {
		return nil, fault.New(fault.Denied, "%w", err)
	}
	effect := []ask.Fact{
		{Name: "change", Value: "+ " + strings.ReplaceAll(strings.TrimSuffix(offered.Added, "\n"), "\n", "\n+ ")},
		{Name: "newly reachable", Value: offered.Opens},
		{Name: "now", Value: offered.Now},
	}
	for _, warning := range offered.Warnings {
		effect = append(effect, ask.Fact{Name: "careful", Value: warning})
	}
	return effect, nil
}

// Apply implements desk.Kind.
func (k routeKind) Apply(candidate json.RawMessage) error {
	route, err := decodeRoute(candidate)
	if err != nil {
		return err
	}
	_, err = k.p.amend("an approval", func(control.Live) (policy.Set, error) {
		rules := k.p.egress.Load().Rules()
		if _, err := rules.Offer(route); err != nil {
			return policy.Set{}, fault.New(fault.Denied, "%w", err)
		}
		return rules.With(route)
	})
	return err
}

func decodeRoute(candidate json.RawMessage) (policy.Route, error) {
	var route policy.Route
	if err := control.Decode(candidate, &route); err != nil {
		return route, fmt.Errorf("cannot read the candidate: %w", err)
	}
	return route, nil
}
