package bottle

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/pack"
)

// settle decides what remains of a run that is torn down. A clean end with nothing to lose
// removes the state; everything else keeps it, with the transcript beside it.
func (r *running) settle(ctx context.Context, exit backend.Exit, err error) (Outcome, error) {
	out := Outcome{Exit: exit}
	changed, cerr := ApplyCapabilities(r.run)
	switch {
	case changed && r.ran && !errors.Is(err, context.Canceled):
		out.Why, out.Restart = "what it is made of has changed", true
	case !r.ran && !r.goesOn():
		return out, r.run.Remove() // nothing of the agent's can be in it
	case !r.ran:
		out.Why = "it did not start again"
	case errors.Is(err, context.Canceled):
		out.Why = "it was interrupted"
	case err != nil:
		out.Why = "it was cut short"
	case exit.Code != 0:
		out.Why = fmt.Sprintf("the agent ended with %d", exit.Code)
	case r.Plan.Workspace.Path != "" && pack.Changed(r.workspace(), r.mark):
		out.Why = "its copy of the workspace has changes"
	default:
		return out, r.run.Remove()
	}
	out.Kept = true
	kept := errors.Join(r.run.Preserve(out.Why), r.snapshot(ctx))
	head, serr := r.sealLog(ctx, out.Why)
	out.Log = head
	return out, errors.Join(kept, serr, cerr)
}

func (r *running) workspace() string {
	return path.Join(r.run.Paths().Home, "workspace")
}
