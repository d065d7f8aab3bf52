package desk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Decide applies a decision to the proposal that it names, if that is open and still exactly what
// was shown; else it is an error and nothing has changed: NotFound, Exists (it is decided already),
// Denied (what it would do has changed, or is not offered), Invalid.
func (d *Desk) Decide(by ask.Decision) (ask.Proposal, error) {
	d.turn.Lock()
	defer d.turn.Unlock()
	d.mu.Lock()
	it, err := d.find(by.ID)
	if err != nil {
		d.mu.Unlock()
		return ask.Proposal{}, err
	}
	seen, closed := it.copied(), d.closed
	over := it.lasting && d.past(seen.ExpiresAt) // what is held ends with who holds it
	d.mu.Unlock()
	if closed {
		return seen, fault.New(fault.Unavailable, "cannot decide %s: the bottle ends", by.ID)
	}
	if over && seen.State.Open() {
		return seen, fault.New(fault.Exists, "cannot decide %s: its time is over", by.ID)
	}
	answer, effect, err := d.answer(&seen, by)
	if err != nil {
		return seen, err
	}
	decided := entry{Time: d.deps.Now().UTC(), Event: eventDecided, Number: it.number, Answer: &answer, Effect: effect}
	if err := d.journal.append(decided); err != nil {
		return seen, fault.New(fault.Internal, "cannot decide %s: %w", by.ID, err)
	}
	d.mu.Lock()
	note(it, decided)
	d.mu.Unlock()
	if lasts(&it.proposal) {
		err = d.apply(it)
	}
	d.mu.Lock()
	d.close(it)
	out := it.copied()
	d.mu.Unlock()
	verdict := "deny"
	if out.State == ask.Granted || out.State == ask.Modified {
		verdict = "allow"
	}
	d.record(verdict, string(out.State), out.ID, &out)
	return out, err
}

// answer checks a decision against the proposal as it is now.
func (d *Desk) answer(p *ask.Proposal, by ask.Decision) (ask.Answer, []ask.Fact, error) {
	if !p.State.Open() {
		return ask.Answer{}, nil, fault.New(fault.Exists, "cannot decide %s: it is %s already", p.ID, p.State)
	}
	if by.Digest == "" {
		return ask.Answer{}, nil, fault.New(fault.Invalid, "cannot decide %s: the decision does not say what was seen", p.ID)
	}
	effect, err := d.effect(p.Kind, p.Candidate)
	if err != nil {
		effect = []ask.Fact{{Name: "cannot be approved", Value: err.Error()}}
	}
	if by.Digest != ask.Digest(p.Question, effect) {
		return ask.Answer{}, nil, fault.WithHint(fault.New(fault.Denied, "cannot decide %s: it is not what you saw, or what it would do has changed since", p.ID),
			"look again: bot-bottle proposals show %s", p.ID)
	}
	reason := d.text(by.Reason, maxReason)
	switch by.Verdict {
	case ask.Rejected:
		return ask.Answer{Verdict: ask.Rejected, Reason: reason}, effect, nil
	case ask.Approved:
		if err != nil {
			return ask.Answer{}, nil, fault.New(fault.Denied, "cannot approve %s: %w", p.ID, err)
		}
	default:
		return ask.Answer{}, nil, fault.New(fault.Invalid, "cannot decide %s: there is no verdict %q", p.ID, by.Verdict)
	}
	if !slices.Contains(p.Scopes, by.Scope) {
		return ask.Answer{}, nil, fault.New(fault.Invalid, "cannot approve %s for %q: it can be approved for %q", p.ID, by.Scope, p.Scopes)
	}
	answer := ask.Answer{Verdict: ask.Approved, Scope: by.Scope, Reason: reason, Candidate: p.Candidate}
	if len(by.Candidate) == 0 {
		return answer, effect, nil
	}
	return d.edited(p, by, answer)
}

// edited takes the operator's own candidate, which must hold everything that the asked one must.
func (d *Desk) edited(p *ask.Proposal, by ask.Decision, answer ask.Answer) (ask.Answer, []ask.Fact, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, by.Candidate); err != nil || compact.Len() > maxCandidate {
		return ask.Answer{}, nil, fault.New(fault.Invalid, "cannot approve %s: the edited candidate is no JSON of at most %d bytes", p.ID, maxCandidate)
	}
	if d.deps.Kinds[p.Kind] == nil {
		return ask.Answer{}, nil, fault.New(fault.Invalid, "cannot approve %s: its candidate cannot be edited", p.ID)
	}
	effect, err := d.effect(p.Kind, compact.Bytes())
	if err != nil {
		return ask.Answer{}, nil, fmt.Errorf("cannot approve %s as edited: %w", p.ID, err)
	}
	answer.Candidate = compact.Bytes()
	return answer, effect, nil
}

// apply brings an approval for the run into force, once. It is called in turn.
func (d *Desk) apply(it *item) error {
	p := &it.proposal
	k := d.deps.Kinds[p.Kind]
	if k == nil {
		return nil
	}
	e := entry{Event: eventApplied}
	failed := k.Apply(p.Answer.Candidate)
	if failed != nil {
		e = entry{Event: eventFailed, Problem: failed.Error()}
	}
	if p.Applied && failed == nil {
		return nil // again, after a restart
	}
	e.Time, e.Number = d.deps.Now().UTC(), it.number
	if err := d.journal.append(e); err != nil {
		return fault.New(fault.Internal, "cannot decide %s: %w", p.ID, err)
	}
	d.mu.Lock()
	note(it, e)
	d.mu.Unlock()
	if failed != nil && !it.ended() {
		return fault.New(fault.Denied, "cannot do what was approved with %s: %w", p.ID, failed)
	}
	return nil
}

// Filed notes that an approval for always is in the bottle's file.
func (d *Desk) Filed(id string) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	d.mu.Lock()
	it, err := d.find(id)
	if err == nil && (it.proposal.Answer == nil || it.proposal.Answer.Scope != ask.Always) {
		err = fault.New(fault.Invalid, "cannot note that %s is in the bottle's file: it is not approved for always", id)
	}
	filed := err == nil && it.proposal.Filed
	d.mu.Unlock()
	if err != nil || filed {
		return err
	}
	e := entry{Time: d.deps.Now().UTC(), Event: eventFiled, Number: it.number}
	if err := d.journal.append(e); err != nil {
		return fault.New(fault.Internal, "%w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	note(it, e)
	d.changedLocked()
	return nil
}

// Revoke notes that approvals are no longer in force, so that a resume does not bring them back:
// those for which gone is true, which is asked about each that lasts. It must not call back.
func (d *Desk) Revoke(gone func(kind ask.Kind, candidate json.RawMessage) bool) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	for _, it := range d.all { // only who has the turn adds to them, or decides
		if !lasts(&it.proposal) || !gone(it.proposal.Kind, it.proposal.Answer.Candidate) {
			continue
		}
		e := entry{Time: d.deps.Now().UTC(), Event: eventRevoked, Number: it.number}
		if err := d.journal.append(e); err != nil {
			return fault.New(fault.Internal, "%w", err)
		}
		d.mu.Lock()
		note(it, e)
		d.changedLocked()
		d.mu.Unlock()
		d.record("deny", "revoked", it.proposal.ID, &it.proposal)
	}
	return nil
}

func idOf(id instance.ID, n int) string { return fmt.Sprintf("%s/%d", id, n) }
