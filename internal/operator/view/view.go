// Package view is what the operator looks at, as data: the bottles of a home, what each has done,
// and the questions that wait.
//
// Its one rule: it says where it knows a thing from. What a living sidecar answers and what it left
// behind are never mixed up, and nothing here decides.
package view

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// The sources of what is known of a bottle.
const (
	FromSidecar = "sidecar" // it answered just now
	FromLog     = "log"     // its sidecar does not live, or did not answer: as of its files
)

// patience is how long a sidecar may take to answer.
const patience = 2 * time.Second

// Reach speaks to the living sidecar of a bottle. The caller closes the client.
type Reach func(context.Context, instance.ID) (*control.Client, error)

// Activity is what a bottle has done so far.
type Activity struct {
	Source   string    `json:"source"` // FromSidecar or FromLog; "" where neither could be read
	Requests int64     `json:"requests"`
	Refused  int64     `json:"refused"`
	Alarms   int64     `json:"alarms"`
	Pending  int       `json:"pending"`          // questions that wait for a person
	LastAt   time.Time `json:"last_at,omitzero"` // when the agent last asked for anything
}

// ActivityOf asks the sidecar of a running bottle, and reads the files of one that does not run or
// does not answer.
func ActivityOf(ctx context.Context, reach Reach, run *store.Run, running bool) Activity {
	if running {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if client, err := reach(ctx, run.ID); err == nil {
			defer func() { _ = client.Close() }()
			if stats, err := client.Stats(ctx); err == nil {
				return fromStats(stats)
			}
		}
	}
	return fromFiles(ctx, run)
}

func fromStats(s control.Stats) Activity {
	return Activity{Source: FromSidecar, Requests: s.Requests, Refused: s.Refused, Alarms: s.Alarms, Pending: s.Pending, LastAt: s.LastAt}
}

func fromFiles(ctx context.Context, run *store.Run) Activity {
	tally, err := audit.Count(ctx, run.Paths().Audit)
	if err != nil {
		return Activity{} // without a log there is nothing to tell
	}
	a := Activity{Source: FromLog, Requests: tally.Requests, Refused: tally.Refused, Alarms: tally.Alarms, LastAt: tally.Last}
	left, err := desk.Read(run.Paths().Proposals, run.ID)
	if err != nil {
		return a
	}
	for _, p := range left {
		if p.State.Open() {
			a.Pending++
		}
	}
	return a
}

// Activities is ActivityOf for many bottles at once, in their order.
func Activities(ctx context.Context, reach Reach, runs []*store.Run, running func(int) bool) []Activity {
	out := make([]Activity, len(runs))
	slots := make(chan struct{}, 16)
	var group sync.WaitGroup
	for i, run := range runs {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			out[i] = ActivityOf(ctx, reach, run, running(i))
		})
	}
	group.Wait()
	return out
}

// Bottle is one bottle in the inbox.
type Bottle struct {
	ID      instance.ID `json:"identity"`
	Agent   string      `json:"agent"`
	Backend string      `json:"backend"`
	Label   string      `json:"label"`
	Running bool        `json:"running"`
	Since   time.Time   `json:"since,omitzero"`
	Activity
}

// Question is one proposal in the inbox.
type Question struct {
	ask.Proposal
	Bottle instance.ID `json:"bottle"`
	// Source is FromSidecar where it can be decided now; else it is as of the bottle's journal.
	Source string `json:"source"`
}

// Inbox is everything at one moment: the bottles by name, and the questions, open ones first and
// the oldest of them first, then the decided ones, the last first.
type Inbox struct {
	Bottles   []Bottle   `json:"bottles"`
	Questions []Question `json:"questions"`
}

// Open is how many questions wait for a person.
func (i Inbox) Open() int {
	n := 0
	for _, q := range i.Questions {
		if q.State.Open() {
			n++
		}
	}
	return n
}

func (i *Inbox) sort() {
	slices.SortFunc(i.Bottles, func(x, y Bottle) int { return cmp.Compare(x.ID, y.ID) })
	slices.SortStableFunc(i.Questions, func(x, y Question) int {
		switch xo, yo := x.State.Open(), y.State.Open(); {
		case xo != yo && xo:
			return -1
		case xo != yo:
			return 1
		case !xo:
			return cmp.Or(y.DecidedAt.Compare(x.DecidedAt), cmp.Compare(x.ID, y.ID))
		}
		return cmp.Or(x.AskedAt.Compare(y.AskedAt), cmp.Compare(x.ID, y.ID))
	})
}
