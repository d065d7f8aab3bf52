package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

// kept is how many lines of traffic can be looked back at.
const kept = 500

// feed is what happens in the bottle that is looked at.
type feed struct {
	of     instance.ID
	lines  []line
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// trafficMsg brings what has happened since the last one.
type trafficMsg struct {
	of    instance.ID
	lines []line
}

func (f *feed) wait() { f.group.Wait() }

func (f *feed) receive(msg trafficMsg) {
	if msg.of != f.of {
		return
	}
	f.lines = append(f.lines, msg.lines...)
	if len(f.lines) > kept {
		f.lines = append([]line(nil), f.lines[len(f.lines)-kept:]...)
	}
}

// follow sees that the traffic on the screen is that of the bottle that is looked at.
func (m *model) follow() {
	of := m.watched()
	if m.pane != traffic || of == "" {
		of = ""
	}
	if of == m.feed.of {
		return
	}
	if m.feed.cancel != nil {
		m.feed.cancel()
	}
	m.feed.of, m.feed.lines, m.feed.cancel = of, nil, nil
	if of == "" || m.Traffic == nil {
		return
	}
	ctx, cancel := context.WithCancel(m.ctx)
	m.feed.cancel = cancel
	m.feed.group.Go(func() { m.carry(ctx, of) })
}

// carry brings events to the screen, as many at once as came while it was busy.
func (m *model) carry(ctx context.Context, of instance.ID) {
	var mu sync.Mutex // guards waiting
	var waiting []line
	some := make(chan struct{}, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(some)
		for e, err := range m.Traffic(ctx, of) {
			l := eventLine(e)
			if err != nil && !errors.Is(err, audit.ErrDamaged) {
				l = line{bad, fmt.Sprintf("cannot follow %s any more", of)}
			} else if err != nil {
				l = line{bad, "a line of the log is damaged"}
			}
			mu.Lock()
			waiting = append(waiting, l)
			if len(waiting) > kept {
				waiting = waiting[len(waiting)-kept:]
			}
			mu.Unlock()
			select {
			case some <- struct{}{}:
			default:
			}
		}
	})
	for range some {
		mu.Lock()
		lines := waiting
		waiting = nil
		mu.Unlock()
		m.send(trafficMsg{of, lines})
	}
	reader.Wait()
}

// eventLine is an event in as few letters as a narrow screen needs; bot-bottle log has all of it.
func eventLine(e audit.Event) line {
	text := e.Time.In(time.Local).Format("15:04:05") + fmt.Sprintf(" %-5s ", view.Safe(e.Verdict, 5))
	target := audit.Punycode(e.Host)
	if e.Port != 0 && e.Port != 443 {
		target += fmt.Sprintf(":%d", e.Port)
	}
	words := []string{view.Safe(e.Method, 20), target + view.Safe(e.Path, 200)}
	if e.Kind != "request" {
		words = append([]string{view.Safe(e.Kind, 20)}, words...)
	}
	if e.Status != 0 {
		words = append(words, fmt.Sprintf("→ %d", e.Status))
	}
	words = append(words, view.Safe(e.Message, 200))
	if e.Reason != "" {
		words = append(words, "— "+view.Safe(e.Reason, 200))
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	l := line{plain, text + strings.Join(words, " ")}
	switch {
	case e.Kind == "alarm", e.Verdict == "deny":
		l.style = bad
	case e.Kind == "proposal":
		l.style = bold
	}
	return l
}
