package inbox

import (
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
)

// shownWords is how much of the agent's own words a person is shown.
const shownWords = 2 << 10

// Summary is one line about a proposal, safe for a terminal.
func Summary(p ask.Proposal) string { return Safe(p.Title, 200) }

// Safe escapes what came from a bottle and cuts it; it stays one line.
func Safe(text string, limit int) string { return audit.Escape(text, limit) }

// Text is a proposal as a person reads it: first what was computed, then what an approval would
// change, and apart from both, marked, what the agent says.
func Text(p ask.Proposal, now time.Time) string { return TextWithFile(p, now, "") }

// TextWithFile is Text with what an approval for always would change in the bottle's file.
func TextWithFile(p ask.Proposal, now time.Time, file string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s\n", p.ID, p.Kind, stateOf(p, now))
	fmt.Fprintf(&b, "  %s\n", Safe(p.Title, 1<<10))
	if p.State.Open() && p.Held > 0 {
		fmt.Fprintf(&b, "  held now: %d\n", p.Held)
	}
	facts(&b, p.Facts)
	if len(p.Effect) > 0 && p.State.Open() {
		b.WriteString("an approval would change\n")
	} else if len(p.Effect) > 0 {
		b.WriteString("what was decided on\n")
	}
	facts(&b, p.Effect)
	if file != "" {
		fmt.Fprintf(&b, "always would also change the bottle's file\n  %s\n", strings.ReplaceAll(file, "\n", "\n  "))
	}
	if p.Words != "" {
		b.WriteString("the agent says (nobody has checked it)\n")
		for line := range strings.Lines(p.Words[:min(len(p.Words), shownWords)]) {
			fmt.Fprintf(&b, "  | %s\n", Safe(strings.TrimRight(line, "\n"), shownWords))
		}
		if len(p.Words) > shownWords {
			fmt.Fprintf(&b, "  | …(%d bytes more)\n", len(p.Words)-shownWords)
		}
	}
	if a := p.Answer; a != nil {
		fmt.Fprintf(&b, "decided: %s", a.Verdict)
		if a.Scope != "" {
			fmt.Fprintf(&b, ", %s", a.Scope)
		}
		if a.Reason != "" {
			fmt.Fprintf(&b, ": %s", Safe(a.Reason, shownWords))
		}
		b.WriteString("\n")
	}
	if p.Revoked {
		b.WriteString("taken back since: its route was removed\n")
	}
	if p.Problem != "" {
		fmt.Fprintf(&b, "it could not be done: %s\n", Safe(p.Problem, shownWords))
	}
	if p.Answer != nil && p.Answer.Scope == ask.Always && !p.Filed && !p.Revoked {
		fmt.Fprintf(&b, "not in the bottle's file yet: bot-bottle proposals approve %s --scope always puts it there\n", p.ID)
	}
	if p.State.Open() {
		fmt.Fprintf(&b, "seen: %s\n", p.Digest)
	}
	return b.String()
}

func facts(b *strings.Builder, all []ask.Fact) {
	for _, f := range all {
		lines := strings.Split(strings.TrimRight(f.Value, "\n"), "\n")
		if len(lines) == 1 {
			fmt.Fprintf(b, "  %s: %s\n", Safe(f.Name, 80), Safe(lines[0], 1<<10))
			continue
		}
		fmt.Fprintf(b, "  %s:\n", Safe(f.Name, 80))
		for _, line := range lines {
			fmt.Fprintf(b, "    %s\n", Safe(line, 1<<10))
		}
	}
}

func stateOf(p ask.Proposal, now time.Time) string {
	switch {
	case p.State.Open() && p.ExpiresAt.IsZero():
		return "open since " + now.Sub(p.AskedAt).Round(time.Second).String()
	case p.State.Open():
		return "open for " + max(0, p.ExpiresAt.Sub(now)).Round(time.Second).String() + " more"
	}
	return string(p.State)
}
