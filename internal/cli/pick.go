package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// pick lets a person choose one of a kind, such as an agent: by number, by name, or by typing a part of it, which
// shortens the list.
func (a *App) pick(ctx context.Context, c *cobra.Command, kind string, names []string) (string, error) {
	if !hasTerminal() {
		return "", fault.WithHint(usage(c, "no %s is named, and there is no terminal to choose on", kind), "%ss: %s", kind, strings.Join(names, ", "))
	}
	shown := names
	for {
		var list strings.Builder
		for i, n := range shown {
			fmt.Fprintf(&list, "%3d  %s\n", i+1, n)
		}
		answer, err := onTerminal(ctx, list.String()+kind+" (number, name, or part of one): ", readLine)
		if err != nil {
			return "", err
		}
		answer = strings.TrimSpace(answer)
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(shown) {
			return shown[n-1], nil
		}
		if answer == "" {
			return "", fault.New(fault.Canceled, "no %s chosen", kind)
		}
		if slices.Contains(names, answer) {
			return answer, nil
		}
		shown = filter(names, answer)
		switch len(shown) {
		case 1:
			return shown[0], nil
		case 0:
			a.say("no %s has %q in its name", kind, answer)
			shown = names
		}
	}
}

func filter(names []string, part string) []string {
	var out []string
	for _, n := range names {
		if strings.Contains(n, strings.ToLower(part)) {
			out = append(out, n)
		}
	}
	return out
}
