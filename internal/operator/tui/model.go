package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

// mode is what keys mean.
type mode int

const (
	browsing  mode = iota
	filtering      // a filter is typed
	reasoning      // a reason for a rejection is typed
	answering      // a dialog is open
	helping
)

// pane is what the lower half shows.
type pane int

const (
	details pane = iota
	traffic
)

// dialog is a decision that was begun and not made.
type dialog struct {
	question  view.Question // as it was on the screen
	verdict   ask.Verdict
	scope     ask.Scope
	reason    string
	candidate []byte // edited; nil: as asked
	write     bool   // it is decided, and only the file is to be written
	effect    []ask.Fact
	change    *Change
	ready     bool // everything that it would do is on the screen
	read      bool // to its end: what is below the screen was not seen
	err       error
	scroll    int
}

// model is the program's state; only Update changes it.
type model struct {
	Config
	ctx  context.Context //nolint:containedctx // of the program's run, for its commands
	send func(tea.Msg)

	width, height int
	inbox         view.Inbox
	loaded        bool
	problem       error // the inbox could not be read whole

	bottles  bool // the list shows bottles, not questions
	chosen   string
	bottle   instance.ID
	pane     pane
	wide     bool // the lower half has all of the screen
	hideDone bool
	scroll   int
	mode     mode
	filter   string
	input    string
	dialog   *dialog
	edit     *editing
	notice   string
	failed   bool // the notice is of something that went wrong
	deciding bool // a decision is on its way
	known    map[string]bool
	feed     feed
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return beat() }

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case beatMsg:
		return m, beat()
	case inboxMsg:
		cmd := m.receive(msg)
		return m, cmd
	case trafficMsg:
		m.feed.receive(msg)
	case decidedMsg:
		m.decided(msg)
	case previewMsg:
		if msg.of == m.dialog && m.dialog != nil {
			m.dialog.effect, m.dialog.change, m.dialog.err, m.dialog.ready = msg.effect, msg.change, msg.err, true
		}
	case editedMsg:
		cmd := m.edited(msg)
		return m, cmd
	case tea.PasteMsg:
		m.paste(msg.Content)
	case tea.KeyPressMsg:
		cmd := m.key(msg)
		return m, cmd
	}
	return m, nil
}

// receive takes a new inbox. What is chosen stays chosen, and a dialog whose question has changed
// is closed.
func (m *model) receive(msg inboxMsg) tea.Cmd {
	m.inbox, m.problem = msg.inbox, msg.err
	var fresh []view.Question
	known := make(map[string]bool, len(msg.inbox.Questions))
	for _, q := range msg.inbox.Questions {
		known[q.ID] = true
		if m.loaded && q.State.Open() && !m.known[q.ID] {
			fresh = append(fresh, q)
		}
	}
	m.known, m.loaded = known, true
	m.keepChosen()
	if q, ok := m.current(); len(fresh) > 0 && ok && !q.State.Open() && m.mode == browsing && m.scroll == 0 && m.pane == details {
		m.chosen = fresh[0].ID // nothing that waits was being looked at
		m.keepChosen()
	}
	if d := m.dialog; d != nil && !m.deciding {
		if q, ok := m.question(d.question.ID); !ok || !d.write && (!q.State.Open() || q.Digest != d.question.Digest) {
			m.dialog, m.mode = nil, browsing
			m.say(true, "%s is not what you were looking at any more; nothing was decided", d.question.ID)
		}
	}
	m.follow()
	if !m.Ring || len(fresh) == 0 {
		return nil
	}
	return ring(fresh)
}

// keepChosen sees that something on the list is chosen.
func (m *model) keepChosen() {
	if m.bottles {
		shown := m.shownBottles()
		if len(shown) > 0 && !slices.ContainsFunc(shown, func(b view.Bottle) bool { return b.ID == m.bottle }) {
			m.bottle = shown[0].ID
		}
		return
	}
	shown := m.shownQuestions()
	if len(shown) > 0 && !slices.ContainsFunc(shown, func(q view.Question) bool { return q.ID == m.chosen }) {
		m.chosen, m.scroll = shown[0].ID, 0
	}
}

// question is one of the inbox, as it is now.
func (m *model) question(id string) (view.Question, bool) {
	i := slices.IndexFunc(m.inbox.Questions, func(q view.Question) bool { return q.ID == id })
	if i < 0 {
		return view.Question{}, false
	}
	return m.inbox.Questions[i], true
}

// current is the chosen question where it is on the list.
func (m *model) current() (view.Question, bool) {
	if m.bottles || !slices.ContainsFunc(m.shownQuestions(), func(q view.Question) bool { return q.ID == m.chosen }) {
		return view.Question{}, false
	}
	return m.question(m.chosen)
}

// watched is the bottle whose traffic is shown.
func (m *model) watched() instance.ID {
	if m.bottles {
		return m.bottle
	}
	if q, ok := m.current(); ok {
		return q.Bottle
	}
	if m.bottle != "" || len(m.inbox.Bottles) == 0 {
		return m.bottle
	}
	if i := slices.IndexFunc(m.inbox.Bottles, func(b view.Bottle) bool { return b.Running }); i >= 0 {
		return m.inbox.Bottles[i].ID
	}
	return m.inbox.Bottles[0].ID
}

func (m *model) shownQuestions() []view.Question {
	var out []view.Question
	for _, q := range m.inbox.Questions {
		if m.hideDone && !q.State.Open() {
			continue
		}
		if contains(m.filter, q.ID, string(q.Kind), q.Title, string(q.State)) {
			out = append(out, q)
		}
	}
	return out
}

func (m *model) shownBottles() []view.Bottle {
	var out []view.Bottle
	for _, b := range m.inbox.Bottles {
		if contains(m.filter, string(b.ID), b.Agent, b.Backend, b.Label) {
			out = append(out, b)
		}
	}
	return out
}

// contains reports whether a filter is in one of the texts, in whatever case.
func contains(filter string, texts ...string) bool {
	filter = strings.ToLower(filter)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), filter) })
}

func (m *model) say(failed bool, format string, args ...any) {
	m.notice, m.failed = view.Safe(fmt.Sprintf(format, args...), 400), failed
}

// decided reports how a decision went.
func (m *model) decided(msg decidedMsg) {
	m.deciding, m.dialog = false, nil
	if m.mode == answering || m.mode == reasoning {
		m.mode = browsing
	}
	p := msg.proposal
	if msg.err == nil {
		m.goOn(p.ID)
	}
	switch {
	case msg.err != nil:
		m.say(true, "%v", msg.err)
	case msg.change != nil && msg.change.Diff == "":
		m.say(false, "%s: approved; the bottle's file says it already", p.ID)
	case msg.change != nil:
		m.say(false, "%s: approved, and written into %s", p.ID, msg.change.Path)
	case p.Answer != nil && p.Answer.Verdict == ask.Approved:
		m.say(false, "%s: approved, %s", p.ID, scopeName(p.Answer.Scope))
	default:
		m.say(false, "%s: %s", p.ID, p.State)
	}
}

// goOn chooses the next question that is open, after one that is decided; the last one stays.
func (m *model) goOn(from string) {
	for _, q := range m.shownQuestions() {
		if q.ID != from && q.State.Open() {
			m.chosen, m.scroll = q.ID, 0
			m.follow()
			return
		}
	}
}

func scopeName(s ask.Scope) string {
	switch s {
	case ask.Once:
		return "once"
	case ask.Run:
		return "for this run"
	case ask.Always:
		return "for always"
	}
	return string(s)
}

// since is how long ago something was, in a width that hardly changes.
func (m *model) since(t time.Time) string { return short(m.Now().Sub(t)) }

func short(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}
