// Package desk keeps the questions of one bottle until a person has decided them: in memory for
// those who wait, and in a journal that outlives them.
//
// Its one rule: what a decision does is on the disk before it happens, and a decision is about
// exactly what was shown or about nothing.
package desk

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Limits of one bottle, so that no agent buries its operator or the disk.
const (
	maxOpen      = 32
	maxAll       = 2000
	maxCandidate = 32 << 10
	maxWords     = 4 << 10
	maxReason    = 2 << 10
	maxText      = 1 << 10 // a title, a fact
	maxFacts     = 24
	shownDone    = 64 // decided ones that a list still shows
)

// Kind is what the desk asks about one kind of question. It must not call back into the desk.
type Kind interface {
	// Effect checks a candidate against what is in force, and says what its approval would
	// change. Where that must not be offered it is an error, of kind fault.Denied.
	Effect(candidate json.RawMessage) ([]ask.Fact, error)
	// Apply puts an approved candidate into force for the run. Doing it again changes nothing.
	Apply(candidate json.RawMessage) error
}

// Config is the bottle that the desk is of.
type Config struct{ ID instance.ID }

// Deps are what the desk works with.
type Deps struct {
	// Journal is open for reading and appending; Close closes it.
	Journal *os.File
	// Kinds check and apply; a kind that is not in here is only ever answered to whoever asks.
	Kinds map[ask.Kind]Kind
	// Standing are the kinds of which an approval for the run answers whoever asks the same again:
	// what it allows is in force nowhere else.
	Standing []ask.Kind
	Audit    audit.Sink
	Redact   func(string) string // takes values of secrets out of texts; nil: none is known
	Now      func() time.Time    // nil: time.Now
}

// Desk is safe for concurrent use.
type Desk struct {
	id   instance.ID
	deps Deps

	turn    sync.Mutex // one change at a time, its line in the journal included
	journal *journal   // guarded by turn

	mu       sync.Mutex // guards what follows
	all      []*item    // by number, from 1
	open     map[string]*item
	revision uint64
	changed  chan struct{} // closed and replaced at every change
	closed   bool
}

// item is one proposal in memory.
type item struct {
	proposal ask.Proposal // Effect and Digest are set when it is shown
	number   int
	key      string
	lasting  bool // stays open while nobody waits
	waiting  int
	done     chan struct{} // closed when it is no longer open
	expiry   *time.Timer
}

// New reads the journal and goes on where it ends: what waited without anybody holding on is
// open again, what was held is withdrawn, and what was approved for the run and not revoked is in
// force again when New returns. What is in the bottle's file comes from there, or not at all.
func New(config Config, deps Deps) (*Desk, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Redact == nil {
		deps.Redact = func(s string) string { return s }
	}
	j, past, err := openJournal(deps.Journal)
	if err != nil {
		return nil, err
	}
	d := &Desk{id: config.ID, deps: deps, journal: j, open: map[string]*item{}, revision: 1, changed: make(chan struct{})}
	d.all = replay(config.ID, past)
	if err := d.resume(); err != nil {
		return nil, err
	}
	return d, nil
}

// resume brings what the journal says into force.
func (d *Desk) resume() error {
	d.turn.Lock()
	defer d.turn.Unlock()
	for _, it := range d.all {
		p := &it.proposal
		switch {
		case p.State.Open() && !it.lasting:
			if err := d.end(it, entry{Event: eventWithdrawn}); err != nil {
				return err
			}
		case p.State.Open() && d.past(p.ExpiresAt):
			if err := d.end(it, entry{Event: eventExpired}); err != nil {
				return err
			}
		case p.State.Open():
			d.open[it.key] = it
			d.schedule(it)
		case carried(p):
			if err := d.apply(it); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Desk) past(t time.Time) bool { return !t.IsZero() && !t.After(d.deps.Now()) }

// lasts reports whether a proposal was approved for longer than what was held.
func lasts(p *ask.Proposal) bool {
	return p.Answer != nil && p.Answer.Verdict == ask.Approved && p.Answer.Scope != ask.Once && p.State != ask.Failed && !p.Revoked
}

// carried reports whether a resume brings a proposal into force again.
func carried(p *ask.Proposal) bool { return lasts(p) && !p.Filed }

// Carried returns which of a bottle's proposals a resume brings into force again.
func Carried(all []ask.Proposal) []ask.Proposal {
	return slices.DeleteFunc(slices.Clone(all), func(p ask.Proposal) bool { return !carried(&p) })
}

// Snapshot is everything that a list shows, as of one moment.
type Snapshot struct {
	Revision  uint64
	Proposals []ask.Proposal // open ones first, the oldest first; then what was decided last
}

// Snapshot waits until there is a revision after since, or ctx ends, and returns what there is. A
// since of 0 does not wait.
func (d *Desk) Snapshot(ctx context.Context, since uint64) Snapshot {
	d.mu.Lock()
	for d.revision <= since && ctx.Err() == nil && !d.closed {
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		d.mu.Lock()
	}
	s := Snapshot{Revision: d.revision}
	done := 0
	for _, it := range slices.Backward(d.all) {
		if !it.proposal.State.Open() {
			if done++; done > shownDone {
				continue
			}
		}
		s.Proposals = append(s.Proposals, it.copied())
	}
	d.mu.Unlock()
	for i := range s.Proposals {
		d.show(&s.Proposals[i])
	}
	slices.SortStableFunc(s.Proposals, order)
	return s
}

// order puts open ones first, the oldest first, and then what was decided last.
func order(a, b ask.Proposal) int {
	switch {
	case a.State.Open() && b.State.Open():
		return a.AskedAt.Compare(b.AskedAt)
	case a.State.Open():
		return -1
	case b.State.Open():
		return 1
	}
	return b.DecidedAt.Compare(a.DecidedAt)
}

// Proposal returns one, whole.
func (d *Desk) Proposal(id string) (ask.Proposal, error) {
	d.mu.Lock()
	it, err := d.find(id)
	if err != nil {
		d.mu.Unlock()
		return ask.Proposal{}, err
	}
	p := it.copied()
	d.mu.Unlock()
	d.show(&p)
	return p, nil
}

// Open is how many questions wait for a person.
func (d *Desk) Open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open)
}

// copied is the proposal as it stands. It is called with mu held.
func (it *item) copied() ask.Proposal {
	p := it.proposal
	p.Held = it.waiting
	return p
}

// show adds to an open proposal what its approval would do now.
func (d *Desk) show(p *ask.Proposal) {
	if !p.State.Open() {
		return
	}
	effect, err := d.effect(p.Kind, p.Candidate)
	if err != nil {
		effect = []ask.Fact{{Name: "cannot be approved", Value: err.Error()}}
	}
	p.Effect, p.Digest = effect, ask.Digest(p.Question, effect)
}

func (d *Desk) effect(kind ask.Kind, candidate json.RawMessage) ([]ask.Fact, error) {
	if k := d.deps.Kinds[kind]; k != nil {
		return k.Effect(candidate)
	}
	return nil, nil
}

func (d *Desk) find(id string) (*item, error) {
	for _, it := range d.all {
		if it.proposal.ID == id {
			return it, nil
		}
	}
	return nil, fault.WithHint(fault.New(fault.NotFound, "there is no proposal %q", id), "bot-bottle proposals list shows what there is")
}

// Changed tells whoever waits for a change that what is in force has changed, and with it what an
// approval would do.
func (d *Desk) Changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changedLocked()
}

// changedLocked wakes whoever waits for a change. It is called with mu held.
func (d *Desk) changedLocked() {
	d.revision++
	close(d.changed)
	d.changed = make(chan struct{})
}

// Close ends every wait, as no answer, and closes the journal; what is open stays open in there.
func (d *Desk) Close() error {
	d.turn.Lock()
	defer d.turn.Unlock()
	d.mu.Lock()
	d.closed = true
	for _, it := range d.open {
		if it.expiry != nil {
			it.expiry.Stop()
		}
		close(it.done)
	}
	clear(d.open)
	d.changedLocked()
	d.mu.Unlock()
	return d.journal.file.Close()
}
