package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"

	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

// ring tells the terminal of new questions: a bell, and the notification of OSC 9, which terminals
// that have none pass over. Nothing in the text can end the sequence: it is safe.
func ring(fresh []view.Question) tea.Cmd {
	said := view.Safe(fresh[0].ID+" asks: "+fresh[0].Title, 160)
	if len(fresh) > 1 {
		said += fmt.Sprintf(" (and %d more)", len(fresh)-1)
	}
	return tea.Raw("\x1b]9;" + said + "\x07\a")
}
