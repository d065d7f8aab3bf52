package native

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// The files in a run directory.
const (
	recordName  = "native.json"
	lockName    = "native.lock"
	guestName   = "guest.sock"
	sidecarName = "sidecar.sock"
)

// record is what another process needs to find and end a bottle.
type record struct {
	ID      instance.ID `json:"identity"`
	Guest   process     `json:"guest"`
	Sidecar process     `json:"sidecar"`
	Cgroups []string    `json:"cgroups,omitempty"`
	Started time.Time   `json:"started"`
}

func (r record) write(run string) error {
	content, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("cannot record %q: %w", r.ID, err)
	}
	name := filepath.Join(run, recordName)
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		return fmt.Errorf("cannot record %q: %w", r.ID, err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("cannot record %q: %w", r.ID, err)
	}
	return nil
}

// readRecord reads the record of a run directory; os.ErrNotExist where there is none.
func readRecord(run string) (record, error) {
	var r record
	content, err := os.ReadFile(filepath.Join(run, recordName))
	if err != nil {
		return r, fmt.Errorf("cannot read the record of a bottle: %w", err)
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return r, fmt.Errorf("cannot read %s: %w", filepath.Join(run, recordName), err)
	}
	return r, nil
}

// removeRun removes what this backend put into a run directory, and the directory if nothing else
// is in it.
func removeRun(run string) error {
	var errs []error
	for _, name := range []string{guestName, sidecarName, recordName + ".new", recordName, lockName} {
		if err := os.Remove(filepath.Join(run, name)); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			errs = append(errs, err)
		}
	}
	if err := os.Remove(run); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// lock is held by the owner of a run for as long as it lives.
type lock struct{ f *os.File }

// takeLock fails with fault.Exists when another process owns the run.
func takeLock(run string, id instance.ID) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(run, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock %q: %w", id, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, fault.New(fault.Exists, "cannot prepare %q: it is running", id)
		}
		return nil, fmt.Errorf("cannot lock %q: %w", id, err)
	}
	return &lock{f}, nil
}

func (l *lock) release() { _ = l.f.Close() }
