package store

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/clone"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Frozen is the file system of a bottle as it was at one moment. It outlives the run.
type Frozen struct {
	Record
	FrozenAt time.Time `json:"frozen_at"` // UTC
	Files    int       `json:"files"`
	Bytes    int64     `json:"bytes"`

	dir string
}

// frozenDir is where the bottles that were kept by commit live.
func (h *Home) frozenDir() string { return filepath.Join(h.root, "frozen") }

// Freeze copies the file system of a run and its record, in the place of an earlier copy, which
// stays until the new one is whole. What was not copied is named.
func (h *Home) Freeze(ctx context.Context, r *Run) (Frozen, []string, error) {
	record, err := r.ReadRecord()
	if err != nil {
		return Frozen{}, nil, err
	}
	fresh, held, err := h.fresh()
	if err != nil {
		return Frozen{}, nil, writable(err, "cannot keep %q", r.ID)
	}
	defer func() { _ = held.Close() }()
	defer func() { _ = removeTree(fresh) }()
	sum, err := clone.Tree(ctx, r.Paths().Home, filepath.Join(fresh, "home"))
	if err != nil {
		return Frozen{}, nil, writable(err, "cannot keep %q", r.ID)
	}
	if raw, err := os.ReadFile(r.Dockerfile()); err == nil {
		if err := writeFile(filepath.Join(fresh, "Dockerfile"), raw); err != nil {
			return Frozen{}, nil, err
		}
	}
	f := Frozen{Record: record, FrozenAt: time.Now().UTC(), Files: sum.Files, Bytes: sum.Bytes, dir: filepath.Join(h.frozenDir(), string(r.ID))}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return Frozen{}, nil, fault.New(fault.Internal, "cannot encode the record of %q: %w", r.ID, err)
	}
	if err := writeFile(filepath.Join(fresh, metadataFile), append(raw, '\n')); err != nil {
		return Frozen{}, nil, err
	}
	return f, sum.Left, f.replace(fresh)
}

// replace puts a whole copy in the place of the one before.
func (f Frozen) replace(fresh string) error {
	before := fresh + beforeSuffix
	held, err := hold(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return writable(err, "cannot keep %q", f.Identity)
	}
	defer func() { _ = held.Close() }() // of none: nothing
	if err := os.Rename(f.dir, before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return writable(err, "cannot keep %q", f.Identity)
	}
	if err := os.Rename(fresh, f.dir); err != nil {
		_ = os.Rename(before, f.dir)
		return writable(err, "cannot keep %q", f.Identity)
	}
	return removeTree(before)
}

// Frozen returns what commit kept of an identity; else the kind is fault.NotFound.
func (h *Home) Frozen(id instance.ID) (Frozen, error) {
	f := Frozen{dir: filepath.Join(h.frozenDir(), string(id))}
	raw, err := os.ReadFile(filepath.Join(f.dir, metadataFile))
	if errors.Is(err, fs.ErrNotExist) {
		return f, fault.WithHint(fault.New(fault.NotFound, "nothing was kept of %q by commit", id), "bot-bottle list shows what there is")
	}
	if err != nil {
		return f, writable(err, "cannot read what was kept of %q", id)
	}
	if err := json.Unmarshal(raw, &f); err != nil || f.Identity != id {
		return f, fault.WithHint(fault.New(fault.Invalid, "cannot use %s: %w", filepath.Join(f.dir, metadataFile), errors.Join(err, errors.New("it is damaged"))),
			"remove it with bot-bottle rm %s", id)
	}
	return f, nil
}

// AllFrozen returns all that commit kept, sorted by identity; what cannot be read is left out and
// is an error beside the others.
func (h *Home) AllFrozen() ([]Frozen, error) {
	entries, err := os.ReadDir(h.frozenDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []Frozen
	errs := []error{err}
	for _, e := range entries {
		id, err := instance.Parse(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		f, err := h.Frozen(id)
		if err == nil {
			all = append(all, f)
		}
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Dir is where the copy is, laid out like the state of a run.
func (f Frozen) Dir() string { return f.dir }

// Thaw makes the file system of a run, which it does not have yet, from the copy.
func (f Frozen) Thaw(ctx context.Context, r *Run) error {
	return r.Populate(ctx, filepath.Join(f.dir, "home"), filepath.Join(f.dir, "Dockerfile"))
}

// Unfreeze deletes the copy of an identity, whether it can be read or not.
func (h *Home) Unfreeze(id instance.ID) error {
	if err := removeTree(filepath.Join(h.frozenDir(), string(id))); err != nil {
		return writable(err, "cannot remove what was kept of %q", id)
	}
	return nil
}

// Populate fills the file system of a run with a copy of another one, and takes its Dockerfile
// over where there is one.
func (r *Run) Populate(ctx context.Context, home, dockerfile string) error {
	if err := os.Remove(r.Paths().Home); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return writable(err, "cannot fill %q", r.ID)
	}
	if _, err := clone.Tree(ctx, home, r.Paths().Home); err != nil {
		return writable(err, "cannot fill %q", r.ID)
	}
	if raw, err := os.ReadFile(dockerfile); err == nil {
		return writeFile(r.Dockerfile(), raw)
	}
	return nil
}
