package desk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Read returns what the journal of a bottle says, in the order of List, for whoever has no living
// sidecar to ask. What was open when it ended is shown as open only where it will be again.
func Read(path string, id instance.ID) ([]ask.Proposal, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.Internal, "cannot read the proposals of %q: %w", id, err)
	}
	var all []ask.Proposal
	for _, it := range replay(id, entries(raw)) {
		if it.proposal.State.Open() && !it.lasting {
			it.proposal.State = ask.Withdrawn
		}
		it.proposal.Digest = ask.Digest(it.proposal.Question, it.proposal.Effect)
		all = append(all, it.proposal)
	}
	slices.SortStableFunc(all, order)
	return all, nil
}

// replay is the state that a journal leads to. Numbers go up by one; a line that does not fit the
// ones before it changes nothing.
func replay(id instance.ID, past []entry) []*item {
	var all []*item
	for _, e := range past {
		switch {
		case e.Event == eventAsked && e.Question != nil && e.Number == len(all)+1:
			it := &item{number: e.Number, key: keyOf(*e.Question), lasting: e.Lasting, done: make(chan struct{})}
			it.proposal = ask.Proposal{
				ID: fmt.Sprintf("%s/%d", id, e.Number), Question: *e.Question, State: ask.Pending, AskedAt: e.Time, ExpiresAt: e.Expires,
			}
			all = append(all, it)
		case e.Event != eventAsked && e.Number <= len(all):
			it := all[e.Number-1]
			open := it.proposal.State.Open()
			note(it, e)
			if open && !it.proposal.State.Open() {
				close(it.done)
			}
		}
	}
	return all
}

// note brings one entry into a proposal. A decided one stays as it was decided.
func note(it *item, e entry) {
	p := &it.proposal
	if !p.State.Open() {
		switch e.Event {
		case eventApplied:
			p.Applied = true
		case eventFiled:
			p.Filed = true
		case eventRevoked:
			p.Revoked = true
		case eventFailed:
			p.State, p.Problem = ask.Failed, e.Problem
		}
		return
	}
	switch {
	case e.Event == eventExpired:
		p.State = ask.Lapsed
	case e.Event == eventWithdrawn:
		p.State = ask.Withdrawn
	case e.Event == eventDecided && e.Answer != nil && e.Answer.Verdict == ask.Approved:
		p.State = ask.Granted
		if string(e.Answer.Candidate) != string(p.Candidate) {
			p.State = ask.Modified
		}
		p.Answer, p.Effect = e.Answer, e.Effect
	case e.Event == eventDecided && e.Answer != nil:
		p.State, p.Answer, p.Effect = ask.Refused, e.Answer, e.Effect
	default:
		return
	}
	p.DecidedAt = e.Time
}
