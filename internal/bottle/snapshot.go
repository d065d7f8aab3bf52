package bottle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/clone"
)

// The limits of what is kept of a provider's record of its sessions. The agent writes it, so all
// of it together is bounded: its size, what it has of files and directories, how deep they are,
// and how long the end of a run waits for it.
const (
	snapshotBytes   = 1 << 30
	snapshotEntries = 20_000
	snapshotDepth   = 64
	snapshotTime    = time.Minute
	snapshotNamed   = 5 // of what is left out
)

// snapshot copies the provider's record of the session to where it survives. The bottle is gone,
// so nothing changes under it. What is no plain file is left; what cannot be read or is too much is
// left and named.
func (r *running) snapshot(ctx context.Context) error {
	if r.Transcript == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	home, err := os.OpenRoot(r.run.Paths().Home)
	if err != nil {
		return fmt.Errorf("cannot keep the transcript: %w", err)
	}
	defer func() { _ = home.Close() }()
	if err := os.MkdirAll(r.run.Transcript(), 0o700); err != nil {
		return fmt.Errorf("cannot keep the transcript: %w", err)
	}
	to, err := os.OpenRoot(r.run.Transcript())
	if err != nil {
		return fmt.Errorf("cannot keep the transcript: %w", err)
	}
	defer func() { _ = to.Close() }()
	k := &keeping{ctx: ctx, from: home, to: to, bytes: snapshotBytes, entries: snapshotEntries}
	err = k.directory(r.Transcript, ".", 0)
	if k.left > 0 {
		more := ""
		if n := k.left - len(k.named); n > 0 {
			more = fmt.Sprintf(", and %d more", n)
		}
		r.Progress("the transcript is kept without %s%s", strings.Join(k.named, ", "), more)
	}
	if err != nil {
		return fmt.Errorf("cannot keep the transcript: %w", err)
	}
	return nil
}

// keeping is one snapshot, with what is left of its budget.
type keeping struct {
	ctx      context.Context //nolint:containedctx // it lives as long as one call
	from, to *os.Root
	bytes    int64
	entries  int
	left     int      // how many are left out
	named    []string // the first of them
}

var errBudget = errors.New("there is too much of it")

// skip leaves something out, unless the fault is the owner's disk.
func (k *keeping) skip(name string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return err
	}
	if k.left++; len(k.named) < snapshotNamed {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err // the name stands before it already
		}
		k.named = append(k.named, fmt.Sprintf("%s (%v)", audit.Escape(name, 200), err))
	}
	return nil
}

// directory copies the plain files below a directory; links are not followed, nor copied.
func (k *keeping) directory(dir, target string, depth int) error {
	if depth > snapshotDepth {
		return k.skip(dir, errBudget)
	}
	d, err := k.from.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) && depth == 0 {
		return nil // there was no session
	}
	if err != nil {
		return k.skip(dir, err)
	}
	defer func() { _ = d.Close() }()
	for {
		entries, err := d.ReadDir(256)
		for _, e := range entries {
			if k.entries--; k.entries < 0 {
				return k.skip(dir, errBudget)
			}
			if err := k.entry(e, path.Join(dir, e.Name()), path.Join(target, e.Name()), depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return k.skip(dir, err)
		}
	}
}

func (k *keeping) entry(e fs.DirEntry, src, dst string, depth int) error {
	if err := k.ctx.Err(); err != nil {
		return k.skip(src, err)
	}
	switch {
	case e.IsDir():
		if err := k.to.Mkdir(dst, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return k.skip(src, err)
		}
		return k.directory(src, dst, depth+1)
	case e.Type().IsRegular():
		if err := k.file(src, dst); err != nil {
			return k.skip(src, err)
		}
	}
	return nil
}

// file copies as much of a file as it has when it is opened; holes stay holes, but count.
func (k *keeping) file(src, dst string) error {
	in, err := k.from.OpenFile(src, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no plain file")
	}
	if info.Size() > k.bytes {
		return errBudget
	}
	k.bytes -= info.Size()
	out, err := k.to.OpenFile(dst, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(clone.Content(k.ctx, out, in, info.Size()), out.Close())
}
