package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// deployKeys is where it stands which keys a run has made at a forge, so that they are found and
// revoked whatever happens to the run. It outlives the run's own state, and holds no private key.
func (h *Home) deployKeys() string { return filepath.Join(h.root, "deploy-keys") }

// NoteDeployKeys writes down the keys of a run; none removes the note.
func (h *Home) NoteDeployKeys(id instance.ID, keys any, n int) error {
	path := filepath.Join(h.deployKeys(), string(id)+".json")
	if n == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return writable(err, "cannot forget the deploy keys of %q", id)
		}
		return nil
	}
	raw, err := json.Marshal(keys)
	if err != nil {
		return fault.New(fault.Internal, "cannot note the deploy keys of %q: %w", id, err)
	}
	return writeFile(path, append(raw, '\n'))
}

// DeployKeys reads the note of a run into keys; found is false where there is none.
func (h *Home) DeployKeys(id instance.ID, keys any) (found bool, err error) {
	path := filepath.Join(h.deployKeys(), string(id)+".json")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, keys)
	}
	if err != nil {
		return true, writable(err, "cannot read which deploy keys %q has made, in %s", id, path)
	}
	return true, nil
}

// WithDeployKeys lists the runs that have a note.
func (h *Home) WithDeployKeys() ([]instance.ID, error) {
	entries, err := os.ReadDir(h.deployKeys())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, writable(err, "cannot list %s", h.deployKeys())
	}
	var ids []instance.ID
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), ".json")
		if id, err := instance.Parse(name); is && err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
