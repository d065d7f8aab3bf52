package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Ask implements ask.Asker: the question is open for as long as somebody holds on to it. The end
// of a deadline is the answer Expired; any other end of ctx is an error.
func (d *Desk) Ask(ctx context.Context, q ask.Question) (ask.Answer, error) {
	if slices.Contains(d.deps.Standing, q.Kind) {
		if p, ok := d.Latest(q); ok && lasts(&p) {
			return *p.Answer, nil
		}
	}
	expires, _ := ctx.Deadline()
	it, err := d.enter(q, expires, false)
	if err != nil {
		return ask.Answer{}, err
	}
	answer, err := d.wait(ctx, it)
	expired := errors.Is(err, context.DeadlineExceeded)
	if lerr := d.leave(it, expired); lerr != nil {
		return ask.Answer{}, lerr
	}
	if !expired {
		return answer, err
	}
	if it.ended() { // also where the answer came at the same moment
		return d.wait(context.WithoutCancel(ctx), it)
	}
	return ask.Answer{Verdict: ask.Expired}, nil
}

func (it *item) ended() bool {
	select {
	case <-it.done:
		return true
	default:
		return false
	}
}

// Submit asks a question that stays open while nobody waits, until it is decided or its lifetime
// is over; 0 is the bottle's. An equal question that is open already is the same proposal.
func (d *Desk) Submit(q ask.Question, lifetime time.Duration) (ask.Proposal, error) {
	var expires time.Time
	if lifetime > 0 {
		expires = d.deps.Now().Add(lifetime)
	}
	it, err := d.enter(q, expires, true)
	if err != nil {
		return ask.Proposal{}, err
	}
	if err := d.leave(it, false); err != nil { // it ends what it joined, where the holder has gone meanwhile
		return ask.Proposal{}, err
	}
	d.mu.Lock()
	p := it.copied()
	d.mu.Unlock()
	d.show(&p)
	return p, nil
}

// Await returns a proposal once it is decided, or as it is when ctx ends.
func (d *Desk) Await(ctx context.Context, id string) (ask.Proposal, error) {
	d.mu.Lock()
	it, err := d.find(id)
	if err == nil {
		it.waiting++
	}
	d.mu.Unlock()
	if err != nil {
		return ask.Proposal{}, err
	}
	_, _ = d.wait(ctx, it) // the proposal says what there is to say
	if err := d.leave(it, false); err != nil {
		return ask.Proposal{}, err
	}
	return d.Proposal(id)
}

// Latest returns the last proposal of a kind and key and candidate, whatever became of it.
func (d *Desk) Latest(q ask.Question) (ask.Proposal, bool) {
	q, err := d.clean(q)
	if err != nil {
		return ask.Proposal{}, false
	}
	key := keyOf(q)
	d.mu.Lock()
	for _, it := range slices.Backward(d.all) {
		if it.key == key {
			p := it.copied()
			d.mu.Unlock()
			d.show(&p)
			return p, true
		}
	}
	d.mu.Unlock()
	return ask.Proposal{}, false
}

// keyOf makes questions equal only where their candidates are: an answer to one is never one to
// another.
func keyOf(q ask.Question) string {
	return string(q.Kind) + "\x00" + q.Key + "\x00" + string(q.Candidate)
}

// clean bounds a question, takes known secrets out of its texts, and checks its form.
func (d *Desk) clean(q ask.Question) (ask.Question, error) {
	if q.Kind == "" || q.Key == "" || q.Title == "" {
		return q, fault.New(fault.Invalid, "cannot ask: a question needs a kind, a key and a title")
	}
	if len(q.Candidate) > 0 {
		var compact bytes.Buffer
		if err := json.Compact(&compact, q.Candidate); err != nil {
			return q, fault.New(fault.Invalid, "cannot ask: the candidate is no JSON: %w", err)
		}
		q.Candidate = compact.Bytes()
	}
	if len(q.Candidate) > maxCandidate {
		return q, fault.New(fault.Invalid, "cannot ask: the candidate has %d bytes, %d are allowed", len(q.Candidate), maxCandidate)
	}
	q.Title, q.Words = d.text(q.Title, maxText), d.text(q.Words, maxWords)
	facts := make([]ask.Fact, 0, min(len(q.Facts), maxFacts))
	for _, f := range q.Facts[:min(len(q.Facts), maxFacts)] {
		facts = append(facts, ask.Fact{Name: d.text(f.Name, maxText), Value: d.text(f.Value, maxText)})
	}
	q.Facts = facts
	if len(q.Scopes) == 0 {
		q.Scopes = []ask.Scope{ask.Once}
	}
	return q, nil
}

// text redacts, makes valid UTF-8 and cuts to a limit, saying so.
func (d *Desk) text(s string, limit int) string {
	s = strings.ToValidUTF8(d.deps.Redact(s), "\ufffd")
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s…(%d bytes more)", s[:end], len(s)-end)
}

// enter joins the open question that is equal, or opens one. The caller counts as waiting.
func (d *Desk) enter(q ask.Question, expires time.Time, lasting bool) (*item, error) {
	q, err := d.clean(q)
	if err != nil {
		return nil, err
	}
	if _, err := d.effect(q.Kind, q.Candidate); err != nil {
		return nil, err
	}
	key := keyOf(q)
	if it := d.join(key, expires); it != nil {
		return it, nil
	}
	d.turn.Lock()
	defer d.turn.Unlock()
	if it := d.join(key, expires); it != nil { // while we waited for our turn
		return it, nil
	}
	it, err := d.number(q, key, expires, lasting)
	if err != nil {
		return nil, err
	}
	asked := entry{Time: it.proposal.AskedAt, Event: eventAsked, Number: it.number, Question: &it.proposal.Question, Expires: expires, Lasting: lasting}
	if err := d.journal.append(asked); err != nil {
		return nil, fault.New(fault.Internal, "%w", err)
	}
	d.mu.Lock()
	d.all = append(d.all, it)
	d.open[key] = it
	d.schedule(it)
	d.changedLocked()
	d.mu.Unlock()
	d.record("", "asked", it.proposal.ID, &it.proposal)
	return it, nil
}

// join counts one more who waits for an open question. What is held stays open for as long as the
// last of them waits.
func (d *Desk) join(key string, expires time.Time) *item {
	d.mu.Lock()
	defer d.mu.Unlock()
	it := d.open[key]
	if it == nil {
		return nil
	}
	it.waiting++
	if end := it.proposal.ExpiresAt; !it.lasting && !end.IsZero() && (expires.IsZero() || expires.After(end)) {
		it.proposal.ExpiresAt = expires.UTC()
	}
	d.changedLocked()
	return it
}

// number makes the next proposal, within the bounds of the bottle.
func (d *Desk) number(q ask.Question, key string, expires time.Time, lasting bool) (*item, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, fault.New(fault.Unavailable, "cannot ask: the bottle ends")
	case len(d.open) >= maxOpen:
		return nil, fault.New(fault.Denied, "cannot ask: %d questions are open already", len(d.open))
	case len(d.all) >= maxAll:
		return nil, fault.New(fault.Denied, "cannot ask: this bottle has asked %d questions, and may ask no more", len(d.all))
	}
	n := len(d.all) + 1
	it := &item{number: n, key: key, lasting: lasting, waiting: 1, done: make(chan struct{})}
	it.proposal = ask.Proposal{
		ID: idOf(d.id, n), Question: q, State: ask.Pending, AskedAt: d.deps.Now().UTC(), ExpiresAt: expires.UTC(),
	}
	return it, nil
}

// wait returns the answer to a proposal, or the end of ctx.
func (d *Desk) wait(ctx context.Context, it *item) (ask.Answer, error) {
	if !it.ended() {
		select {
		case <-it.done:
		case <-ctx.Done():
			return ask.Answer{}, ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &it.proposal
	switch {
	case p.State.Open():
		return ask.Answer{}, fault.New(fault.Unavailable, "cannot wait for an answer: the bottle ends")
	case p.State == ask.Failed:
		return ask.Answer{}, fault.New(fault.Internal, "cannot do what was approved: %s", p.Problem)
	case p.Answer == nil:
		return ask.Answer{Verdict: ask.Expired}, nil
	}
	return *p.Answer, nil
}

// leave is the end of one wait. What only lived while it was held ends with the last.
func (d *Desk) leave(it *item, expired bool) error {
	d.mu.Lock()
	it.waiting--
	last := it.waiting == 0 && !it.lasting && it.proposal.State.Open() && !d.closed
	d.mu.Unlock()
	if !last {
		return nil
	}
	d.turn.Lock()
	defer d.turn.Unlock()
	d.mu.Lock()
	last = it.waiting == 0 && it.proposal.State.Open() && !d.closed
	d.mu.Unlock()
	if !last { // somebody joined, or it was decided
		return nil
	}
	event := eventWithdrawn
	if expired {
		event = eventExpired
	}
	return d.end(it, entry{Event: event})
}

// end closes an open proposal without an answer. It is called in turn.
func (d *Desk) end(it *item, e entry) error {
	e.Time, e.Number = d.deps.Now().UTC(), it.number
	if err := d.journal.append(e); err != nil {
		return fault.New(fault.Internal, "%w", err)
	}
	d.mu.Lock()
	note(it, e)
	d.close(it)
	d.mu.Unlock()
	d.record("deny", string(it.proposal.State), it.proposal.ID, &it.proposal)
	return nil
}

// close takes a proposal off the open ones and wakes who waits. It is called with mu held.
func (d *Desk) close(it *item) {
	if it.expiry != nil {
		it.expiry.Stop()
	}
	if d.open[it.key] == it {
		delete(d.open, it.key)
	}
	close(it.done)
	d.changedLocked()
}

// schedule ends a lasting proposal at its time. What is held ends with its holder's deadline.
func (d *Desk) schedule(it *item) {
	if !it.lasting || it.proposal.ExpiresAt.IsZero() {
		return
	}
	it.expiry = time.AfterFunc(it.proposal.ExpiresAt.Sub(d.deps.Now()), func() {
		d.turn.Lock()
		defer d.turn.Unlock()
		d.mu.Lock()
		open := it.proposal.State.Open() && !d.closed
		d.mu.Unlock()
		if open {
			_ = d.end(it, entry{Event: eventExpired}) // a journal that fails keeps it open: nothing is approved by that
		}
	})
}

// record writes what happens to a proposal into the audit log.
func (d *Desk) record(verdict, what, id string, p *ask.Proposal) {
	if d.deps.Audit == nil {
		return
	}
	e := audit.Event{Time: d.deps.Now().UTC(), Kind: "proposal", Verdict: verdict, Layer: "supervise", Rule: id, Message: what + ": " + p.Title}
	if a := p.Answer; a != nil {
		e.Reason = strings.TrimSpace(string(a.Scope) + " " + a.Reason)
	}
	d.deps.Audit.Record(e)
}
