// Package tui is the operator's inbox on a terminal.
//
// Its one rule: a key never decides on something that the person has not seen. A decision carries
// the digest of what was on the screen, and what changes under an open question closes it.
package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os/exec"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

// Desk decides, and changes files of bottles. Its methods may take a moment.
type Desk interface {
	// Decide asks the sidecar of the proposal's bottle to apply a decision.
	Decide(context.Context, ask.Decision) (ask.Proposal, error)
	// Effect says what a candidate that the operator edited would change.
	Effect(context.Context, view.Question, json.RawMessage) ([]ask.Fact, error)
	// Preview says what an approval for always would change in which file, and changes nothing.
	Preview(context.Context, view.Question, json.RawMessage) (Change, error)
}

// Change is what an approval for always does to the bottle's file.
type Change struct {
	Path  string
	Diff  string   // its lines begin with "+", "-" or a space; "" where the file says it already
	Notes []string // what else the person should know
	// Make makes it, unless the file is another than Diff was made from. Doing it again changes nothing.
	Make func(context.Context, ask.Proposal) error
}

// Config is what the inbox works with.
type Config struct {
	// Watch calls show with the inbox, until ctx ends.
	Watch func(ctx context.Context, show func(view.Inbox, error))
	// Traffic yields what happens in a bottle, beginning a little before now, until ctx ends.
	Traffic func(context.Context, instance.ID) iter.Seq2[audit.Event, error]
	Desk    Desk
	// Editor is the operator's own, for a file.
	Editor func(file string) *exec.Cmd
	In     io.Reader
	Out    io.Writer
	Env    []string
	Now    func() time.Time // nil: time.Now
	// Ring tells the terminal of new questions: a bell, and a notification where it can show one.
	Ring bool
}

// Run shows the inbox until the person leaves it. Whatever they decided is decided; leaving, or
// being killed, at any other moment decides nothing.
func Run(ctx context.Context, c Config) error {
	if c.Now == nil {
		c.Now = time.Now
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &model{Config: c, ctx: ctx, width: 80, height: 24}
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(c.In), tea.WithOutput(c.Out), tea.WithEnvironment(c.Env), tea.WithoutCatchPanics())
	m.send = p.Send
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		c.Watch(ctx, func(i view.Inbox, err error) { p.Send(inboxMsg{i, err}) })
	}()
	_, err := p.Run()
	cancel()
	<-watched
	m.feed.wait()
	left := errors.Is(err, tea.ErrInterrupted) || errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil
	if err != nil && !left {
		return fault.New(fault.Internal, "cannot show the inbox: %w", err)
	}
	return nil
}

// The messages of the program, besides keys and sizes.
type (
	inboxMsg struct {
		inbox view.Inbox
		err   error
	}
	beatMsg    time.Time
	decidedMsg struct {
		proposal ask.Proposal
		change   *Change
		err      error
	}
	previewMsg struct {
		of     *dialog
		effect []ask.Fact
		change *Change
		err    error
	}
	editedMsg struct {
		question view.Question
		text     []byte
		err      error
	}
)

func beat() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return beatMsg(t) })
}

// decide puts a decision, and after it, for always, the change of the file.
func (m *model) decide(d dialog) tea.Cmd {
	decision := ask.Decision{
		ID: d.question.ID, Digest: d.question.Digest, Verdict: d.verdict, Scope: d.scope, Reason: d.reason, Candidate: d.candidate,
	}
	return func() tea.Msg {
		p := d.question.Proposal
		if !d.write {
			var err error
			if p, err = m.Desk.Decide(m.ctx, decision); err != nil || d.change == nil {
				return decidedMsg{proposal: p, err: err}
			}
		}
		err := d.change.Make(m.ctx, p)
		if err != nil {
			err = fmt.Errorf("%s is approved for this run, and not in the bottle's file: %w", p.ID, err)
		}
		return decidedMsg{proposal: p, change: d.change, err: err}
	}
}

// preview computes what a dialog has to show before it can be answered.
func (m *model) preview(d *dialog) tea.Cmd {
	of := *d
	return func() tea.Msg {
		msg := previewMsg{of: d, effect: of.question.Effect}
		if of.write {
			of.candidate = nil
			if a := of.question.Answer; a != nil {
				of.question.Candidate = a.Candidate
			}
		}
		if of.candidate != nil {
			if msg.effect, msg.err = m.Desk.Effect(m.ctx, of.question, of.candidate); msg.err != nil {
				return msg
			}
		}
		if of.scope == ask.Always {
			candidate := of.candidate
			if candidate == nil {
				candidate = of.question.Candidate
			}
			var change Change
			change, msg.err = m.Desk.Preview(m.ctx, of.question, candidate)
			msg.change = &change
		}
		return msg
	}
}
