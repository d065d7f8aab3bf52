package claude

import (
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// statusLine is a command that prints the run's label in its colour, "" where it has no label. The
// label is a word of the command, whatever stands in it.
func statusLine(label, color string) string {
	if label == "" {
		return ""
	}
	quoted := "'" + strings.ReplaceAll(label, "'", `'\''`) + "'"
	if code := provider.ColorCode(color); code != "" {
		return `printf '\033[` + code + `m%s\033[0m' ` + quoted
	}
	return "printf '%s' " + quoted
}
