package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

// The smallest screen that is drawn; below it the person is asked for more.
const (
	leastWidth  = 40
	leastHeight = 10
)

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	v.WindowTitle = fmt.Sprintf("bot-bottle: %d open", m.inbox.Open())
	return v
}

// screen is exactly as many lines as there are, none wider than the screen.
func (m *model) screen() []string {
	if m.width < leastWidth || m.height < leastHeight {
		return []string{ansi.Truncate(fmt.Sprintf("the inbox needs %d×%d", leastWidth, leastHeight), max(m.width, 1), "")}
	}
	out := []string{m.header()}
	switch {
	case m.mode == helping:
		out = append(out, m.window(helpLines(), 0, m.height-2)...)
	case m.dialog != nil:
		lines := m.dialogLines()
		m.dialog.scroll = max(0, min(m.dialog.scroll, len(lines)-(m.height-2)))
		if d := m.dialog; d.ready && d.scroll >= len(lines)-(m.height-2) {
			d.read = true
		}
		out = append(out, m.window(lines, m.dialog.scroll, m.height-2)...)
	default:
		lines := m.lower()
		m.scroll = max(0, min(m.scroll, len(lines)-m.paneHeight()))
		if !m.wide {
			out = append(out, m.list()...)
			out = append(out, paint(faint, m.ruler(len(lines)-m.paneHeight()-m.scroll)))
		}
		from := m.scroll
		if m.pane == traffic {
			from = max(0, len(lines)-m.paneHeight()-m.scroll) // the newest is at the bottom
		}
		out = append(out, m.window(lines, from, m.paneHeight())...)
	}
	return append(out, m.footer())
}

func (m *model) header() string {
	running := 0
	for _, b := range m.inbox.Bottles {
		if b.Running {
			running++
		}
	}
	left := fmt.Sprintf(" bot-bottle · %d open · %d running", m.inbox.Open(), running)
	if m.filter != "" {
		left += " · only " + view.Safe(m.filter, 30)
	}
	if m.problem != nil {
		left += " · not all could be read"
	}
	right := "? help "
	if !m.loaded {
		right = "looking… "
	}
	return paint(header, fit(left, m.width-ansi.StringWidth(right))+right)
}

// listHeight is how many lines the list has, its head included.
func (m *model) listHeight() int {
	n := len(m.shownQuestions())
	if m.bottles {
		n = len(m.shownBottles())
	}
	return 1 + min(max(n, 2), max(2, (m.height-4)*2/5))
}

func (m *model) paneHeight() int {
	if m.wide {
		return m.height - 2
	}
	return m.height - 3 - m.listHeight()
}

// window is a part of the lines, filled up to a height.
func (m *model) window(lines []line, from, height int) []string {
	out := make([]string, 0, height)
	for i := from; i < len(lines) && len(out) < height; i++ {
		out = append(out, paint(lines[i].style, ansi.Truncate(lines[i].text, m.width, "…")))
	}
	for len(out) < height {
		out = append(out, "")
	}
	return out
}

func (m *model) list() []string {
	head, rows, at := m.questionRows()
	if m.bottles {
		head, rows, at = m.bottleRows()
	}
	height := m.listHeight() - 1
	from := max(0, min(at-height/2, len(rows)-height))
	out := []string{paint(faint, fit(head, m.width))}
	for i := from; i < min(from+height, len(rows)); i++ {
		out = append(out, rows[i])
	}
	for len(out) < height+1 {
		out = append(out, "")
	}
	return out
}

func (m *model) questionRows() (head string, rows []string, at int) {
	id := m.idWidth()
	head = " " + fit("BOTTLE", id) + "  " + fit("KIND", 10) + "  " + fit("STATE", 10) + "  QUESTION"
	for i, q := range m.shownQuestions() {
		text := m.mark(q.ID == m.chosen) + fit(q.ID, id) + "  " + fit(string(q.Kind), 10) + "  " + fit(m.stateOf(q), 10) + "  " + view.Safe(q.Title, 200)
		s := plain
		switch {
		case q.ID == m.chosen:
			s, at = chosen, i
		case !q.State.Open():
			s = faint
		}
		rows = append(rows, paint(s, fit(text, m.width)))
	}
	if len(rows) == 0 {
		rows = []string{"", " " + paint(faint, m.nothing())}
	}
	return head, rows, at
}

// mark tells the chosen line also where a terminal shows no colours.
func (m *model) mark(isChosen bool) string {
	if isChosen {
		return "▸"
	}
	return " "
}

// idWidth is the width of the longest name, within reason.
func (m *model) idWidth() int {
	widest := 12
	for _, q := range m.inbox.Questions {
		widest = max(widest, len(q.ID))
	}
	return min(widest, m.width/3)
}

func (m *model) nothing() string {
	switch {
	case !m.loaded:
		return "looking for bottles…"
	case m.filter != "" && m.bottles:
		return "no bottle has this in it; esc shows all"
	case m.filter != "":
		return "no question has this in it; esc shows all"
	case len(m.inbox.Bottles) == 0:
		return "no bottles; bot-bottle start makes one, and it appears here by itself"
	case m.bottles:
		return "no bottles"
	}
	return "nothing waits for you; new questions appear by themselves"
}

// stateOf is a question's state in a few letters.
func (m *model) stateOf(q view.Question) string {
	switch {
	case !q.State.Open():
		return string(q.State)
	case q.Source != view.FromSidecar:
		return "on resume"
	case !q.ExpiresAt.IsZero():
		return short(q.ExpiresAt.Sub(m.Now())) + " left"
	}
	return "open " + m.since(q.AskedAt)
}

func (m *model) bottleRows() (head string, rows []string, at int) {
	head = " " + fit("BOTTLE", 20) + "  " + fit("STATE", 8) + "  " + fit("SINCE", 6) + "  " + fit("ASKED", 7) + "  " + fit("REFUSED", 7) + "  " + fit("OPEN", 4) + "  " + fit("LAST", 6) + "  FROM"
	for i, b := range m.shownBottles() {
		state := "kept"
		if b.Running {
			state = "running"
		}
		text := m.mark(b.ID == m.bottle) + fit(string(b.ID), 20) + "  " + fit(state, 8) + "  " + fit(m.ageOr(b), 6) + "  " + fit(fmt.Sprint(b.Requests), 7) + "  " +
			fit(fmt.Sprint(b.Refused), 7) + "  " + fit(fmt.Sprint(b.Pending), 4) + "  " + fit(m.lastOf(b), 6) + "  " + b.Source
		s := plain
		switch {
		case b.ID == m.bottle:
			s, at = chosen, i
		case !b.Running:
			s = faint
		}
		rows = append(rows, paint(s, fit(text, m.width)))
	}
	if len(rows) == 0 {
		rows = []string{"", " " + paint(faint, m.nothing())}
	}
	return head, rows, at
}

func (m *model) ageOr(b view.Bottle) string {
	if b.Since.IsZero() {
		return "-"
	}
	return m.since(b.Since)
}

func (m *model) lastOf(b view.Bottle) string {
	if b.LastAt.IsZero() {
		return "-"
	}
	return m.since(b.LastAt)
}

// ruler parts the list from what is below it, and says how much of that is not on the screen.
func (m *model) ruler(more int) string {
	title := " details "
	if m.pane == traffic {
		title = " traffic of " + string(m.watched()) + " "
	} else if m.bottles {
		title = " " + string(m.bottle) + " "
	}
	hidden := ""
	if more > 0 {
		hidden = fmt.Sprintf(" %d lines more: space ", more)
	}
	if more > 0 && m.pane == traffic {
		hidden = fmt.Sprintf(" %d lines before: b ", more)
	}
	title = "──" + ansi.Truncate(title, m.width/2, "… ")
	return title + strings.Repeat("─", max(0, m.width-ansi.StringWidth(title)-ansi.StringWidth(hidden))) + hidden
}

// footer is the line of input, the last notice, or the keys that do something now.
func (m *model) footer() string {
	switch m.mode {
	case filtering:
		return m.prompt("only: ")
	case reasoning:
		return m.prompt("reason: ")
	case helping:
		return paint(header, fit(" any key goes back", m.width))
	case answering:
		return paint(header, fit(m.answers(), m.width))
	case browsing:
	}
	if m.notice != "" {
		s := good
		if m.failed {
			s = bad
		}
		return paint(s, ansi.Truncate(" "+m.notice, m.width, "…"))
	}
	return paint(header, fit(m.keysNow(), m.width))
}

func (m *model) prompt(label string) string {
	room := m.width - ansi.StringWidth(label) - 3
	text := m.input
	if over := ansi.StringWidth(text) - room; over > 0 {
		text = "…" + ansi.TruncateLeft(text, over+1, "")
	}
	return paint(bold, " "+label) + text + paint(chosen, " ")
}

func (m *model) answers() string {
	d := m.dialog
	switch {
	case m.deciding:
		return " deciding…"
	case d.err != nil:
		return " n go back · e edit"
	case !d.ready:
		return " looking what it would do…"
	}
	if !d.read {
		return " there is more below: space; it can be approved from its end"
	}
	if d.write {
		return " y write it · n no · ↑↓ scroll"
	}
	said := " y approve " + scopeName(d.scope) + " · n no · e edit · ↑↓ scroll"
	if others := scopesOf(d.question, d.scope); others != "" {
		said += " · or: " + others
	}
	return said
}

func (m *model) keysNow() string {
	q, ok := m.current()
	switch {
	case m.bottles:
		return " ↑↓ choose · tab questions · t traffic · / filter · enter wide · q quit"
	case !ok:
		return " tab bottles · t traffic · / filter · h hide decided · q quit"
	case !q.State.Open() || q.Source != view.FromSidecar:
		return " ↑↓ choose · space more · t traffic · tab bottles · h hide decided · q quit"
	}
	return " " + approvals(q) + " · e edit · x reject · t traffic · enter wide · ? all"
}
