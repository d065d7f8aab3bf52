package dns

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
)

// Within one window a refused name is written once, and only so many names; the rest is counted.
const (
	window     = 10 * time.Second
	maxRefused = 64
)

// denials keeps a flood of refused queries from filling the disk, without losing that it was.
type denials struct {
	sink audit.Sink
	now  func() time.Time

	mu      sync.Mutex
	started time.Time
	seen    map[string]bool
	omitted int
}

func newDenials(sink audit.Sink, now func() time.Time) *denials {
	return &denials{sink: sink, now: now, seen: map[string]bool{}}
}

// record writes that a query for name was refused.
func (d *denials) record(name, proto, reason string) {
	now := d.now()
	summary, write := d.admit(name, now)
	d.send(summary, now)
	if write {
		d.sink.Record(audit.Event{
			Time: now, Kind: "dns", Verdict: "deny", Layer: "dns", Via: "dns", Proto: proto, Host: name, Reason: reason,
		})
	}
}

// admit says whether this one is written, and how many of an ended window were not.
func (d *denials) admit(name string, now time.Time) (omitted int, write bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.started) >= window {
		omitted = d.roll(now)
	}
	if d.seen[name] {
		return omitted, false
	}
	if len(d.seen) >= maxRefused {
		d.omitted++
		return omitted, false
	}
	d.seen[name] = true
	return omitted, true
}

func (d *denials) roll(now time.Time) (omitted int) {
	omitted = d.omitted
	d.started, d.omitted = now, 0
	clear(d.seen)
	return omitted
}

func (d *denials) send(omitted int, now time.Time) {
	if omitted > 0 {
		d.sink.Record(audit.Event{
			Time: now, Kind: "dns", Verdict: "deny", Layer: "dns", Via: "dns",
			Message: fmt.Sprintf("%d more refused queries within %s", omitted, window),
		})
	}
}

// run writes the count of a window that nothing follows, and that of the last one.
func (d *denials) run(ctx context.Context) error {
	tick := time.NewTicker(window)
	defer tick.Stop()
	for {
		ended := false
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		now := d.now()
		d.mu.Lock()
		omitted := 0
		if ended || now.Sub(d.started) >= window {
			omitted = d.roll(now)
		}
		d.mu.Unlock()
		d.send(omitted, now)
		if ended {
			return nil
		}
	}
}
