package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// style is how a piece of text looks. Only what every terminal draws by its own theme is used, so
// that light and dark ones both show it.
type style string

const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	chosen style = "7"
	good   style = "32"
	bad    style = "31"
	theirs style = "35" // the agent's own words
	header style = "1;7"
)

// paint puts text, which is safe already, into a style.
func paint(s style, text string) string {
	if s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[m"
}

// line is one line of a pane.
type line struct {
	style style
	text  string
}

// wrapped breaks a line at a width; what goes on is set in by indent.
func wrapped(l line, width, indent int) []line {
	if ansi.StringWidth(l.text) <= width || width <= indent {
		return []line{{l.style, ansi.Truncate(l.text, max(width, 1), "…")}}
	}
	parts := strings.Split(ansi.Wrap(l.text, width-indent, "/&?,;"), "\n")
	out := []line{{l.style, parts[0]}}
	for _, p := range parts[1:] {
		out = append(out, line{l.style, strings.Repeat(" ", indent) + p})
	}
	return out
}

// fit cuts or fills a text to exactly a width.
func fit(text string, width int) string {
	if width <= 0 {
		return ""
	}
	text = ansi.Truncate(text, width, "…")
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}
