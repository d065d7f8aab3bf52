package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	inquiry "github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// editCandidate opens what would be put into force in the operator's editor, as indented JSON, and
// returns what was saved. The sidecar judges it like the one that was asked for.
func (a *App) editCandidate(ctx context.Context, p inquiry.Proposal) (json.RawMessage, error) {
	if len(p.Candidate) == 0 {
		return nil, fault.New(fault.Invalid, "cannot edit %s: there is nothing in it to edit", p.ID)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, p.Candidate, "", "  "); err != nil {
		return nil, fmt.Errorf("cannot edit %s: %w", p.ID, err)
	}
	text.WriteByte('\n')
	file, err := os.CreateTemp("", "proposal-*.json")
	if err != nil {
		return nil, fmt.Errorf("cannot edit %s: %w", p.ID, err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(text.Bytes())
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("cannot edit %s: %w", p.ID, err)
	}
	if err := a.editor(ctx, file.Name()); err != nil {
		return nil, err
	}
	saved, err := os.ReadFile(file.Name())
	if err != nil {
		return nil, fmt.Errorf("cannot edit %s: %w", p.ID, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, saved); err != nil {
		return nil, fault.New(fault.Invalid, "cannot use what was saved for %s: %w", p.ID, err)
	}
	return compact.Bytes(), nil
}
