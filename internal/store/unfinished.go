package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// What a commit has in hand is called so until it is whole, and so is the copy that it replaces.
const (
	freshPrefix  = ".new-"
	beforeSuffix = "-before"
)

// errOwned says that somebody has a copy in hand.
var errOwned = errors.New("another process has it in hand")

// hold takes a directory in hand for as long as the file is open; the end of the process is the end
// of that, too. One that was removed meanwhile is held by nobody.
func hold(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errOwned
		}
		return nil, err
	}
	held, err := f.Stat()
	if err == nil {
		var there fs.FileInfo
		if there, err = os.Lstat(dir); err == nil && !os.SameFile(held, there) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// fresh makes the directory of a new copy and takes it in hand. Who looks for what is left may be
// quicker: then there is another one.
func (h *Home) fresh() (dir string, held *os.File, err error) {
	if err := os.MkdirAll(h.frozenDir(), 0o700); err != nil {
		return "", nil, err
	}
	for range 5 {
		if dir, err = os.MkdirTemp(h.frozenDir(), freshPrefix); err != nil {
			return "", nil, err
		}
		held, err = hold(dir)
		if !errors.Is(err, errOwned) && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return dir, held, err
}

// identityOf reads whose copy a directory holds.
func identityOf(dir string) (instance.ID, bool) {
	var r Record
	raw, err := os.ReadFile(filepath.Join(dir, metadataFile))
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return "", false
	}
	id, err := instance.Parse(string(r.Identity))
	return id, err == nil
}

// Unfinished returns the directories that commits which were killed have left, and that no living
// process has in hand.
func (h *Home) Unfinished() ([]string, error) {
	entries, err := os.ReadDir(h.frozenDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []string
	errs := []error{err}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), freshPrefix) || !e.IsDir() {
			continue
		}
		dir := filepath.Join(h.frozenDir(), e.Name())
		held, err := hold(dir)
		if err == nil {
			all = append(all, dir)
			err = held.Close()
		}
		if !errors.Is(err, errOwned) && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

// RemoveUnfinished removes one of them. A copy that was about to be replaced by one that is not
// there goes back to its place instead.
func (h *Home) RemoveUnfinished(dir string) error {
	held, err := hold(dir)
	if errors.Is(err, errOwned) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return writable(err, "cannot remove %s", dir)
	}
	defer func() { _ = held.Close() }()
	if strings.HasSuffix(dir, beforeSuffix) {
		if id, ok := identityOf(dir); ok {
			place := filepath.Join(h.frozenDir(), string(id))
			if _, err := os.Lstat(place); errors.Is(err, fs.ErrNotExist) {
				return os.Rename(dir, place)
			}
		}
	}
	if err := removeTree(dir); err != nil {
		return writable(err, "cannot remove %s", dir)
	}
	return nil
}
