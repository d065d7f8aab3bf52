package bottle

import (
	"context"
	"errors"

	"github.com/bot-bottle/bot-bottle/internal/audit"
)

// reopenLog returns where the chain of a resumed run's audit log stands; nil for a new run. The
// sidecar is there and does not write yet.
func (r *running) reopenLog(ctx context.Context) (*audit.Head, error) {
	if !r.goesOn() {
		return nil, nil //nolint:nilnil // a new log has no head
	}
	said := []audit.Event{{Kind: "lifecycle", Message: "resumed"}}
	proof, err := r.run.Proof()
	if err != nil {
		r.Progress("the audit log did not hold: %v", err)
		said = append([]audit.Event{{Kind: "alarm", Layer: "audit", Message: "the audit log did not hold", Reason: err.Error()}}, said...)
	}
	head, breaks, err := audit.Reopen(ctx, r.Plan.Paths.Audit, proof, said...)
	for _, b := range breaks {
		r.Progress("the audit log did not hold: %s", b)
	}
	if err != nil {
		return nil, err
	}
	return &head, nil
}

// sealLog ends the audit log of a run that is kept. All its writers have ended.
func (r *running) sealLog(ctx context.Context, why string) (audit.Head, error) {
	proof, err := r.run.Proof()
	head, serr := audit.Seal(ctx, r.Plan.Paths.Audit, proof, audit.Event{Kind: "lifecycle", Message: "kept: " + why})
	if err = errors.Join(err, serr); err != nil || head.Count == 0 {
		return head, err
	}
	return head, r.run.Seal(head)
}
