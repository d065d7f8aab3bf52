package tui

import (
	"slices"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

// key is one key of the person.
func (m *model) key(msg tea.KeyPressMsg) tea.Cmd {
	name := msg.String()
	if name == "ctrl+c" {
		return tea.Quit
	}
	switch m.mode {
	case filtering:
		m.typeFilter(msg)
		return nil
	case reasoning:
		return m.typeReason(msg)
	case answering:
		return m.answer(name)
	case helping:
		m.mode = browsing
		return nil
	case browsing:
	}
	m.notice = ""
	if m.move(name) {
		m.follow()
		return nil
	}
	switch name {
	case "q":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "?", "f1":
		m.mode = helping
	case "esc":
		m.wide, m.filter = false, ""
		m.keepChosen()
	case "/":
		m.mode, m.input = filtering, m.filter
	case "h":
		m.hideDone = !m.hideDone
		m.keepChosen()
	default:
		return m.act(name)
	}
	return nil
}

// move handles the keys that only change what is looked at.
func (m *model) move(name string) bool {
	switch name {
	case "up", "k":
		m.step(-1)
	case "down", "j":
		m.step(1)
	case "home", "g":
		m.step(-1 << 20)
	case "end", "G":
		m.step(1 << 20)
	case "pgdown", "space", "ctrl+f":
		m.look(m.paneHeight() - 1)
	case "pgup", "b", "ctrl+b":
		m.look(1 - m.paneHeight())
	case "ctrl+d", "shift+down", "J":
		m.look(1)
	case "ctrl+u", "shift+up", "K":
		m.look(-1)
	case "enter":
		m.wide = !m.wide
	case "tab":
		m.bottles, m.scroll = !m.bottles, 0
		m.keepChosen()
	case "t":
		m.scroll = 0
		if m.pane == traffic {
			m.pane = details
		} else {
			m.pane = traffic
		}
	default:
		return false
	}
	return true
}

// look moves the lower half. Traffic is looked at from its end.
func (m *model) look(by int) {
	if m.pane == traffic {
		by = -by
	}
	m.scroll = max(0, m.scroll+by)
}

// step chooses another line of the list.
func (m *model) step(by int) {
	m.scroll = 0
	if m.bottles {
		shown := m.shownBottles()
		if len(shown) > 0 {
			at := slices.IndexFunc(shown, func(b view.Bottle) bool { return b.ID == m.bottle })
			m.bottle = shown[min(max(at+by, 0), len(shown)-1)].ID
		}
		return
	}
	shown := m.shownQuestions()
	if len(shown) > 0 {
		at := slices.IndexFunc(shown, func(q view.Question) bool { return q.ID == m.chosen })
		m.chosen = shown[min(max(at+by, 0), len(shown)-1)].ID
	}
}

// act begins what a key decides about the chosen question.
func (m *model) act(name string) tea.Cmd {
	scopes := map[string]ask.Scope{"o": ask.Once, "r": ask.Run, "A": ask.Always}
	scope, approves := scopes[name]
	if !approves && name != "x" && name != "e" && name != "w" {
		m.say(true, "no key %s here; ? shows those that there are", view.Safe(name, 20))
		return nil
	}
	q, ok := m.current()
	switch {
	case !ok && m.bottles:
		m.say(true, "tab goes back to the questions")
		return nil
	case !ok:
		m.say(true, "there is no question to decide")
		return nil
	case name == "w":
		return m.write(q)
	case m.deciding:
		m.say(true, "a decision is on its way")
		return nil
	case !q.State.Open():
		m.say(true, "%s is decided: %s", q.ID, q.State)
		return nil
	case q.Source != view.FromSidecar:
		m.say(true, "the sidecar of %s does not answer; what is open waits for bot-bottle resume", q.Bottle)
		return nil
	case name == "e":
		return m.startEdit(q)
	case name == "x":
		m.dialog = &dialog{question: q, verdict: ask.Rejected}
		m.mode, m.input = reasoning, ""
		return nil
	case !slices.Contains(q.Scopes, scope):
		m.say(true, "%s can be approved %s only", q.ID, scopesOf(q, ""))
		return nil
	}
	return m.open(&dialog{question: q, verdict: ask.Approved, scope: scope})
}

// open shows what a decision would do, and waits for a yes.
func (m *model) open(d *dialog) tea.Cmd {
	m.dialog, m.mode = d, answering
	return m.preview(d)
}

// write puts an approval for always into the file, where that did not happen yet.
func (m *model) write(q view.Question) tea.Cmd {
	if a := q.Answer; a == nil || a.Verdict != ask.Approved || a.Scope != ask.Always || q.Filed {
		m.say(true, "%s is nothing that is to be written into a file", q.ID)
		return nil
	}
	return m.open(&dialog{question: q, verdict: ask.Approved, scope: ask.Always, write: true})
}

// answer is a key on an open dialog.
func (m *model) answer(name string) tea.Cmd {
	d := m.dialog
	switch name {
	case "y", "Y":
		if !d.ready || !d.read || d.err != nil || m.deciding {
			return nil
		}
		m.deciding = true
		return m.decide(*d)
	case "n", "N", "esc", "q":
		if m.deciding {
			return nil
		}
		m.dialog, m.mode = nil, browsing
		m.say(false, "nothing was decided")
	case "e":
		if !d.write && !m.deciding {
			m.dialog, m.mode = nil, browsing
			return m.startEdit(d.question)
		}
	case "o", "r", "A":
		scope := map[string]ask.Scope{"o": ask.Once, "r": ask.Run, "A": ask.Always}[name]
		if d.verdict == ask.Approved && !d.write && slices.Contains(d.question.Scopes, scope) && !m.deciding {
			other := *d
			other.scope, other.ready, other.read, other.change, other.err, other.scroll = scope, false, false, nil, nil, 0
			return m.open(&other)
		}
	case "down", "j":
		d.scroll++
	case "pgdown", "space":
		d.scroll += m.height - 3
	case "up", "k":
		d.scroll--
	case "pgup", "b":
		d.scroll -= m.height - 3
	}
	return nil
}

// typeFilter edits the filter; what it chooses is shown at once.
func (m *model) typeFilter(msg tea.KeyPressMsg) {
	switch msg.String() {
	case "enter":
		m.mode = browsing
	case "esc":
		m.mode, m.filter = browsing, ""
	default:
		m.input = typed(m.input, msg)
		m.filter = m.input
	}
	m.keepChosen()
	m.follow()
}

func (m *model) typeReason(msg tea.KeyPressMsg) tea.Cmd {
	switch msg.String() {
	case "enter":
		if m.deciding || m.dialog == nil {
			return nil
		}
		m.dialog.reason = strings.TrimSpace(m.input)
		m.deciding = true
		return m.decide(*m.dialog)
	case "esc":
		m.dialog, m.mode = nil, browsing
		m.say(false, "nothing was decided")
	default:
		m.input = typed(m.input, msg)
	}
	return nil
}

// maxInput bounds what is typed.
const maxInput = 1 << 10

// typed is a line of input after one more key.
func typed(text string, msg tea.KeyPressMsg) string {
	switch msg.String() {
	case "backspace", "ctrl+h":
		runes := []rune(text)
		return string(runes[:max(0, len(runes)-1)])
	case "ctrl+u":
		return ""
	case "ctrl+w":
		text = strings.TrimRight(text, " ")
		return text[:strings.LastIndex(text, " ")+1]
	}
	return added(text, msg.Key().Text)
}

// added is text with what can be shown of more.
func added(text, more string) string {
	more = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, more)
	if len(text)+len(more) > maxInput {
		return text
	}
	return text + more
}

func (m *model) paste(text string) {
	switch m.mode {
	case filtering:
		m.input = added(m.input, text)
		m.filter = m.input
		m.keepChosen()
	case reasoning:
		m.input = added(m.input, text)
	case browsing, answering, helping: // what is pasted by mistake decides nothing
	}
}
