package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var errChanged = errors.New("changed")

// Changed reports whether anything below dir was made, written, renamed, removed or given other
// rights after since. It looks at the inodes' change times, which their owner cannot set back.
// git's index does not count: looking at a repository rewrites it. What cannot be read counts.
func Changed(dir string, since time.Time) bool {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := e.Name(); name == ".git" || name == "index" && strings.HasSuffix(filepath.Dir(path), ".git") {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || changeTime(st).After(since) {
			return errChanged
		}
		return nil
	})
	return err != nil && !errors.Is(err, fs.ErrNotExist)
}

// Mark returns a moment of the file system's own clock that is not before any change made so
// far below dir and before every later one. That clock moves in steps of some milliseconds; Mark
// touches a file beside dir until it has moved on.
func Mark(dir string) (time.Time, error) {
	probe, err := os.CreateTemp(filepath.Dir(dir), ".mark-*")
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot mark the time at %s: %w", dir, err)
	}
	defer func() { _ = probe.Close(); _ = os.Remove(probe.Name()) }()
	var first time.Time
	for {
		var st syscall.Stat_t
		if err := errors.Join(probe.Chmod(0o600), syscall.Fstat(int(probe.Fd()), &st)); err != nil {
			return time.Time{}, fmt.Errorf("cannot mark the time at %s: %w", dir, err)
		}
		now := changeTime(&st)
		if first.IsZero() {
			first = now
		}
		if now.After(first) {
			return first, nil
		}
	}
}
