package view

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// beat is how often bottles that came and went are looked for, and counts are asked for. Questions
// come as they are asked.
const beat = time.Second

// Watcher keeps up with all bottles of a home.
type Watcher struct {
	Home  *store.Home
	Reach Reach
}

// Once returns the inbox as it is now.
func (w Watcher) Once(ctx context.Context) (Inbox, error) {
	ids, err := w.Home.Runs()
	if err != nil {
		return Inbox{}, err
	}
	var all Inbox
	var errs []error
	for _, id := range ids {
		f := &follower{run: w.Home.Run(id), reach: w.Reach}
		errs = append(errs, f.once(ctx))
		f.into(&all)
	}
	all.sort()
	return all, errors.Join(errs...)
}

// Run calls show with the inbox whenever something has changed, and at each beat, until ctx ends.
// It does not call it from two places at once.
func (w Watcher) Run(ctx context.Context, show func(Inbox, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	followers := map[instance.ID]*follower{}
	changed := make(chan struct{}, 1)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	err := w.look(ctx, followers, changed, &group)
	for {
		var all Inbox
		for _, f := range followers {
			f.into(&all)
		}
		all.sort()
		show(all, err)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
			err = w.look(ctx, followers, changed, &group)
		}
	}
}

// look finds the bottles that there are, follows those that run and lets go of those that are gone.
func (w Watcher) look(ctx context.Context, followers map[instance.ID]*follower, changed chan<- struct{}, group *sync.WaitGroup) error {
	ids, err := w.Home.Runs()
	if err != nil {
		return err
	}
	here := make(map[instance.ID]bool, len(ids))
	for _, id := range ids {
		here[id] = true
		f := followers[id]
		if f == nil {
			f = &follower{run: w.Home.Run(id), reach: w.Reach}
			followers[id] = f
		}
		f.tend(ctx, changed, group)
	}
	for id := range followers {
		if !here[id] {
			followers[id].stop()
			delete(followers, id)
		}
	}
	return nil
}

// follower keeps up with one bottle.
type follower struct {
	run   *store.Run
	reach Reach

	mu        sync.Mutex // guards what follows
	bottle    Bottle
	proposals []ask.Proposal
	live      bool   // the sidecar answers
	seen      bool   // it did, while we were looking
	busy      bool   // a goroutine works for this bottle
	read      string // what the files looked like that were read last
	cancel    context.CancelFunc
}

// into adds the bottle and its questions to an inbox. Of one that does not run only what is open is
// shown, and what was seen while it ran.
func (f *follower) into(all *Inbox) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all.Bottles = append(all.Bottles, f.bottle)
	source := FromLog
	if f.live {
		source = FromSidecar
	}
	for _, p := range f.proposals {
		if !p.State.Open() && !f.bottle.Running && !f.seen {
			continue
		}
		all.Questions = append(all.Questions, Question{Proposal: p, Bottle: f.run.ID, Source: source})
	}
}

// know refreshes what the files of the bottle say.
func (f *follower) know() (running bool) {
	running = f.run.Running()
	rec, err := f.run.ReadRecord()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bottle.ID, f.bottle.Running = f.run.ID, running
	if err == nil {
		f.bottle.Agent, f.bottle.Backend, f.bottle.Label, f.bottle.Since = rec.AgentName, rec.Backend, rec.Label, rec.StartedAt
	}
	return running
}

func (f *follower) once(ctx context.Context) error {
	running := f.know()
	f.bottle.Activity = ActivityOf(ctx, f.reach, f.run, running)
	if running {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if client, err := f.reach(ctx, f.run.ID); err == nil {
			defer func() { _ = client.Close() }()
			if now, err := client.Proposals(ctx, 0); err == nil {
				f.proposals, f.live = now.Proposals, true
				return nil
			}
		}
	}
	return f.files(ctx)
}

// files reads what a bottle without a sidecar left, where that has changed.
func (f *follower) files(ctx context.Context) error {
	paths := f.run.Paths()
	look := stamp(paths.Proposals) + stamp(paths.Audit)
	f.mu.Lock()
	same := !f.live && f.read == look
	f.mu.Unlock()
	if same {
		return nil
	}
	left, err := desk.Read(paths.Proposals, f.run.ID)
	activity := fromFiles(ctx, f.run)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live, f.read, f.bottle.Activity = false, look, activity
	if err == nil {
		f.proposals = left
	}
	return err
}

// stamp changes when a file does.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "none;"
	}
	return fmt.Sprintf("%d %d;", info.Size(), info.ModTime().UnixNano())
}

// tend follows a bottle that runs and is not followed, and reads the files of one that does not run.
func (f *follower) tend(ctx context.Context, changed chan<- struct{}, group *sync.WaitGroup) {
	running := f.know()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		return
	}
	f.busy = true
	ctx, cancel := context.WithCancel(ctx)
	f.cancel = cancel
	group.Go(func() {
		defer cancel()
		if running {
			f.follow(ctx, changed)
		}
		_ = f.files(ctx) // shown as it was when it cannot be read
		f.mu.Lock()
		f.busy = false
		f.mu.Unlock()
		nudge(changed)
	})
}

func (f *follower) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cancel != nil {
		f.cancel()
	}
}

// follow keeps up with a living sidecar until it no longer answers.
func (f *follower) follow(ctx context.Context, changed chan<- struct{}) {
	client, err := f.reach(ctx, f.run.ID)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var counting sync.WaitGroup
	counting.Go(func() { f.count(ctx) })
	defer counting.Wait()
	defer cancel()
	defer func() { _ = client.Close() }()
	var since uint64
	for {
		now, err := next(ctx, client, since)
		if err != nil {
			return
		}
		since = now.Revision
		f.mu.Lock()
		f.proposals, f.live, f.seen = now.Proposals, true, true
		f.mu.Unlock()
		nudge(changed)
	}
}

// next waits for the next change; a sidecar that is stuck is given up.
func next(ctx context.Context, client *control.Client, since uint64) (control.Proposals, error) {
	ctx, cancel := context.WithTimeout(ctx, control.LongestWait+patience)
	defer cancel()
	return client.Proposals(ctx, since)
}

// count asks for the counts at each beat, on a connection of its own, since the other one waits.
func (f *follower) count(ctx context.Context) {
	client, err := f.reach(ctx, f.run.ID)
	if err != nil {
		return
	}
	defer func() { _ = client.Close() }()
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		stats, err := client.Stats(ctx)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.bottle.Activity = fromStats(stats)
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func nudge(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}
