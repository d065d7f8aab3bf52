package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

const sealFile = "audit.seal"

// Seal records where the chain of the audit log stood when it was sealed.
func (r *Run) Seal(head audit.Head) error {
	enc, err := json.Marshal(head)
	if err != nil {
		return fault.New(fault.Internal, "cannot encode the seal of %q: %w", r.ID, err)
	}
	return writeFile(filepath.Join(r.dir, sealFile), append(enc, '\n'))
}

// Proof is what the audit log is held against. A log that was never sealed has no seal in it; a
// seal that cannot be read is an error, beside a proof without it.
func (r *Run) Proof() (audit.Proof, error) {
	p := audit.Proof{ID: string(r.ID)}
	path := filepath.Join(r.dir, sealFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, writable(err, "cannot read the seal of %q", r.ID)
	}
	var head audit.Head
	if err := json.Unmarshal(raw, &head); err != nil {
		return p, fault.New(fault.Invalid, "cannot read the seal %s: %w", path, err)
	}
	p.Sealed = &head
	return p, nil
}
