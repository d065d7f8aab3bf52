package cli

import (
	"fmt"

	"github.com/bot-bottle/bot-bottle/internal/store"
)

// label makes a label one that no other run has, by a number behind it, and says so. A broken record
// has none.
func (a *App) label(home *store.Home, wanted string) (string, error) {
	if wanted == "" {
		return "", nil
	}
	ids, err := home.Runs()
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, id := range ids {
		if rec, err := home.Run(id).ReadRecord(); err == nil {
			taken[rec.Label] = true
		}
	}
	label := wanted
	for n := 2; taken[label]; n++ {
		label = fmt.Sprintf("%s-%d", wanted, n)
	}
	if label != wanted {
		a.say("another bottle has the label %q; this one is %q", wanted, label)
	}
	return label, nil
}
