// Package notify tells the operator, who may not be looking, that a question waits: on the desktop
// and by a webhook.
//
// Its one rule: it tells that there is something to decide and where, and never decides; neither a
// value of a secret nor the agent's own words leave by it.
package notify

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// Sender tells of questions. It may take a moment, and may be given several at once.
type Sender interface {
	Send(context.Context, []ask.Proposal) error
}

// Source is the inbox of one bottle, as control.Client.Proposals has it.
type Source func(ctx context.Context, since uint64) (control.Proposals, error)

// backlog is how many questions may wait for a sender; a bottle has no more of them open.
const backlog = 64

// Watch tells each sender of every question of a bottle that is open, once, until ctx ends or the
// source does. Failed gets what could not be told; it is called from several places.
func Watch(ctx context.Context, id instance.ID, source Source, failed func(error), senders ...Sender) {
	var group sync.WaitGroup
	queues := make([]chan ask.Proposal, len(senders))
	for i, s := range senders {
		queue := make(chan ask.Proposal, backlog)
		queues[i] = queue
		group.Go(func() { deliver(ctx, queue, s, failed) })
	}
	defer func() {
		for _, queue := range queues {
			close(queue)
		}
		group.Wait()
	}()
	told := map[string]bool{}
	var since uint64
	for ctx.Err() == nil {
		now, err := source(ctx, since)
		if err != nil {
			return // the bottle has ended
		}
		since = now.Revision
		for _, p := range now.Proposals {
			if !p.State.Open() || told[p.ID] {
				continue
			}
			told[p.ID] = true
			for _, queue := range queues {
				select {
				case queue <- p:
				default:
					failed(fmt.Errorf("cannot tell of %s: %d questions of %s wait to be told already", p.ID, backlog, id))
				}
			}
		}
	}
}

// deliver gives a sender what waits, all of it at once.
func deliver(ctx context.Context, queue <-chan ask.Proposal, s Sender, failed func(error)) {
	for p := range queue {
		batch := []ask.Proposal{p}
		for more := true; more; {
			select {
			case next, ok := <-queue:
				if more = ok; ok {
					batch = append(batch, next)
				}
			default:
				more = false
			}
		}
		if err := s.Send(ctx, batch); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
