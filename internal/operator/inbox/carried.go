package inbox

import (
	"fmt"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// Carried names the approvals that a resume of a run brings into force again, one a line, safe for a
// terminal. What a bottle is made of is not among them: its plan says that.
func Carried(run *store.Run) ([]string, error) {
	all, err := desk.Read(run.Paths().Proposals, run.ID)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, p := range desk.Carried(all) {
		what := p.Title
		switch p.Kind {
		case ask.Capability:
			continue
		case ask.Route:
			if route, err := routeOf(p.Answer.Candidate); err == nil {
				what = policy.Describe(route)
			}
		}
		lines = append(lines, Safe(fmt.Sprintf("%s (%s)", what, p.ID), 1<<10))
	}
	return lines, nil
}
