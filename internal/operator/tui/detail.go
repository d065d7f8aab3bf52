package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

// Limits of what the agent said, so that nobody reads for an hour. What an approval would change is
// shown whole: a candidate has 32 KiB at most.
const (
	mostWords = 24
	longWords = 2 << 10
	mostFact  = 1 << 16
	longFact  = 1 << 20
)

// lower is what the lower half shows, at the width of the screen.
func (m *model) lower() []line {
	if m.pane == traffic {
		return m.trafficLines()
	}
	if m.bottles {
		return m.bottleLines()
	}
	q, ok := m.current()
	if !ok {
		return nil
	}
	return m.questionLines(q)
}

// text collects lines of a pane.
type text struct {
	width int
	lines []line
}

func (t *text) add(s style, indent int, format string, args ...any) {
	t.lines = append(t.lines, wrapped(line{s, fmt.Sprintf(format, args...)}, t.width, indent)...)
}

func (t *text) gap() { t.lines = append(t.lines, line{}) }

// facts shows what was computed. A value of several lines is a change.
func (t *text) facts(all []ask.Fact) {
	for _, f := range all {
		name := view.Safe(f.Name, 80)
		lines := view.Lines(f.Value, mostFact, longFact)
		s := plain
		switch f.Name {
		case "newly reachable":
			s = bold
		case "careful", "cannot be approved":
			s = bad
		}
		if len(lines) == 1 && !strings.HasPrefix(lines[0], "+ ") && !strings.HasPrefix(lines[0], "- ") {
			value := lines[0]
			if f.Name == "careful" {
				value = view.Spelled(f.Value, longFact)
			}
			t.add(s, 4, "  %s: %s", name, value)
			continue
		}
		t.add(s, 4, "  %s:", name)
		t.diff(lines)
	}
}

// diff shows lines that say by their first letter whether they come or go.
func (t *text) diff(lines []string) {
	for _, l := range lines {
		s := plain
		switch {
		case strings.HasPrefix(l, "+"):
			s = good
		case strings.HasPrefix(l, "-"):
			s = bad
		}
		t.add(s, 8, "    %s", l)
	}
}

// words shows what the agent says, apart from all else and marked at each line.
func (t *text) words(words string) {
	if words == "" {
		return
	}
	t.gap()
	t.add(theirs, 2, " The agent says (its own words, checked by nobody):")
	for _, l := range view.Lines(words, mostWords, longWords) {
		for i, w := range wrapped(line{theirs, l}, t.width-4, 0) {
			mark := "  ┃ "
			if i > 0 {
				mark = "  ┆ "
			}
			t.lines = append(t.lines, line{theirs, mark + w.text})
		}
	}
}

func (m *model) questionLines(q view.Question) []line {
	t := &text{width: m.width}
	t.add(bold, 4, " %s", view.Safe(q.Title, 1<<10))
	t.add(plain, 4, " %s", m.circumstances(q))
	t.facts(q.Facts)
	if len(q.Effect) > 0 {
		t.gap()
		if q.State.Open() {
			t.add(bold, 2, " An approval would change:")
		} else {
			t.add(bold, 2, " It was about:")
		}
		t.facts(q.Effect)
	}
	t.words(q.Words)
	if a := q.Answer; a != nil {
		t.gap()
		said := string(a.Verdict)
		if a.Verdict == ask.Approved {
			said += ", " + scopeName(a.Scope)
		}
		if a.Reason != "" {
			said += ": " + view.Safe(a.Reason, longWords)
		}
		t.add(bold, 4, " Decided %s ago: %s", m.since(q.DecidedAt), said)
		if a.Verdict == ask.Approved && a.Scope == ask.Always && !q.Filed {
			t.add(bad, 4, " It is not in the bottle's file yet; w writes it.")
		}
	}
	if q.Problem != "" {
		t.add(bad, 4, " It could not be done: %s", view.Safe(q.Problem, longWords))
	}
	return t.lines
}

// circumstances is who asked, when, and how long it waits.
func (m *model) circumstances(q view.Question) string {
	said := fmt.Sprintf("%s, asked %s ago by %s", q.Kind, m.since(q.AskedAt), q.Bottle)
	if !q.State.Open() {
		return said
	}
	if q.Source != view.FromSidecar {
		return said + "; its sidecar does not answer: this is what it left, and it waits for bot-bottle resume"
	}
	if q.Held == 1 {
		said += ", which waits"
	} else if q.Held > 1 {
		said += fmt.Sprintf("; %d requests wait", q.Held)
	}
	if !q.ExpiresAt.IsZero() {
		said += fmt.Sprintf(", refused in %s", short(q.ExpiresAt.Sub(m.Now())))
	}
	return said
}

func (m *model) dialogLines() []line {
	d := m.dialog
	t := &text{width: m.width}
	t.gap()
	if d.verdict == ask.Rejected {
		t.add(bold, 4, " Reject %s?", d.question.ID)
		t.add(plain, 4, " %s", view.Safe(d.question.Title, 1<<10))
		t.gap()
		t.add(plain, 1, " Type the reason, which the agent reads, then enter. Empty gives none. esc goes back.")
		return t.lines
	}
	if d.write {
		t.add(bold, 4, " Write %s, which is approved for always?", d.question.ID)
	} else {
		t.add(bold, 4, " Approve %s %s?", d.question.ID, scopeName(d.scope))
	}
	t.add(plain, 4, " %s", view.Safe(d.question.Title, 1<<10))
	if d.err != nil {
		t.gap()
		t.add(bad, 2, " That cannot be approved: %s", view.Safe(d.err.Error(), longWords))
		return t.lines
	}
	if !d.ready {
		return t.lines
	}
	if d.candidate != nil {
		t.gap()
		t.add(bold, 2, " As you edited it, not as it was asked:")
	}
	t.facts(d.effect)
	if len(d.effect) == 0 {
		t.facts(d.question.Facts)
	}
	if c := d.change; c != nil {
		t.gap()
		for _, n := range c.Notes {
			t.add(bad, 2, " careful: %s", view.Safe(n, longWords))
		}
		if c.Diff == "" {
			t.add(bold, 2, " The bottle's file says it already; it stays as it is.")
		} else {
			t.add(bold, 2, " %s changes:", view.Safe(c.Path, longWords))
			t.diff(view.Lines(c.Diff, mostFact, longFact))
		}
	}
	return t.lines
}

func (m *model) bottleLines() []line {
	t := &text{width: m.width}
	for _, b := range m.inbox.Bottles {
		if b.ID != m.bottle {
			continue
		}
		t.add(plain, 4, " agent %s, backend %s%s", view.Safe(b.Agent, 80), view.Safe(b.Backend, 80), labelled(b))
		t.add(plain, 4, " %d requests, %d of them refused; %d alarms; %d questions open", b.Requests, b.Refused, b.Alarms, b.Pending)
		switch {
		case b.Source == view.FromSidecar:
			t.add(plain, 4, " its sidecar answers")
		case b.Running:
			t.add(bad, 4, " its sidecar does not answer: this is what its log says")
		default:
			t.add(faint, 4, " it does not run: this is what its log says")
		}
	}
	return t.lines
}

func labelled(b view.Bottle) string {
	if b.Label == "" {
		return ""
	}
	return ", " + view.Safe(b.Label, 80)
}

func (m *model) trafficLines() []line {
	if len(m.feed.lines) == 0 {
		return []line{{faint, " nothing yet"}}
	}
	if m.filter == "" {
		return m.feed.lines
	}
	var out []line
	for _, l := range m.feed.lines {
		if contains(m.filter, l.text) {
			out = append(out, l)
		}
	}
	if out == nil {
		return m.feed.lines // the filter is for the list
	}
	return out
}

// approvals are the keys that approve a question.
func approvals(q view.Question) string {
	var out []string
	for _, s := range q.Scopes {
		out = append(out, map[ask.Scope]string{ask.Once: "o once", ask.Run: "r run", ask.Always: "A always"}[s])
	}
	return strings.Join(out, " · ")
}

// scopesOf are those keys, but for one of them.
func scopesOf(q view.Question, without ask.Scope) string {
	q.Scopes = slices.DeleteFunc(slices.Clone(q.Scopes), func(s ask.Scope) bool { return s == without })
	return strings.ReplaceAll(approvals(q), " · ", ", ")
}

// helpLines explain every key.
func helpLines() []line {
	keys := [][2]string{
		{"↑ ↓ k j g G", "choose"},
		{"space b", "look on, look back in the lower half; J K line by line"},
		{"enter", "the lower half alone, and back"},
		{"tab", "questions, bottles"},
		{"t", "details, or the traffic of the bottle as it happens"},
		{"/", "show only what has a text in it; esc shows all"},
		{"h", "hide what is decided, and show it"},
		{"", ""},
		{"o", "approve once: what waits now, and nothing after it"},
		{"r", "approve for this run, until the bottle ends"},
		{"A", "approve for always: also in the bottle's file, whose change it shows"},
		{"e", "edit what is asked for in your editor, then approve that"},
		{"x", "reject, with a reason that the agent reads"},
		{"w", "write an approval for always into the file, if that was cut short"},
		{"", "Each asks once more, and decides on what is on the screen."},
		{"", ""},
		{"q ctrl-c", "leave; what is not decided stays open"},
	}
	out := []line{{}}
	for _, k := range keys {
		out = append(out, line{plain, "  " + fit(k[0], 14) + k[1]})
	}
	return out
}
