// Package store is the state on disk: where everything lies, the records of runs, their locks and
// preserve marks.
//
// Its one rule: it is the only place that knows a path below the home, and a record is written
// whole or not at all.
package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Home is the directory of one user: manifests, state, cache.
type Home struct{ root string }

// Locate returns the home that the environment names: BOT_BOTTLE_HOME, else ~/.bot-bottle.
func Locate(getenv func(string) string) (*Home, error) {
	root := getenv("BOT_BOTTLE_HOME")
	if root == "" {
		user := getenv("HOME")
		if user == "" {
			return nil, fault.WithHint(fault.New(fault.Invalid, "cannot find a home: neither BOT_BOTTLE_HOME nor HOME is set"),
				"set BOT_BOTTLE_HOME to a directory of your own")
		}
		root = filepath.Join(user, ".bot-bottle")
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fault.New(fault.Invalid, "cannot make %q absolute: %w", root, err)
	}
	return &Home{root: abs}, nil
}

// Root is the home itself.
func (h *Home) Root() string { return h.root }

// Bottles is where bottle manifests live.
func (h *Home) Bottles() string { return filepath.Join(h.root, "bottles") }

// Agents is where agent manifests live.
func (h *Home) Agents() string { return filepath.Join(h.root, "agents") }

// State is where runs live.
func (h *Home) State() string { return filepath.Join(h.root, "state") }

// Cache is what can be thrown away and fetched again.
func (h *Home) Cache() string { return filepath.Join(h.root, "cache") }

// Mirror is where the mirror of a git remote is, below the cache.
func (h *Home) Mirror(name string) string { return filepath.Join(h.Cache(), "git", name) }

// Runs returns the identities that have a state directory, sorted.
func (h *Home) Runs() ([]instance.ID, error) {
	entries, err := os.ReadDir(h.State())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, writable(err, "cannot list runs in %s", h.State())
	}
	var ids []instance.ID
	for _, e := range entries {
		if id, err := instance.Parse(e.Name()); err == nil && e.IsDir() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// writable turns a failed write into an error that says what to do about it.
func writable(err error, format string, args ...any) error {
	args = append(args, err)
	e := fault.New(fault.Internal, format+": %w", args...)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.WithHint(e, "the disk is full: free some space (bot-bottle cleanup lists what is left behind), or set BOT_BOTTLE_HOME to another disk")
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fault.WithHint(e, "make that directory writable, or set BOT_BOTTLE_HOME to one that is")
	}
	return e
}
