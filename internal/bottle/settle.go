package bottle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/pack"
)

// settle decides what remains of a run that is torn down. A clean end with nothing to lose
// removes the state; everything else keeps it, with the transcript beside it.
func (r *running) settle(ctx context.Context, exit backend.Exit, err error) (Outcome, error) {
	out := Outcome{Exit: exit}
	changed, cerr := ApplyCapabilities(r.run)
	switch {
	case changed && r.ran && !errors.Is(err, context.Canceled):
		out.Why, out.Restart = "what it is made of has changed", true
	case !r.ran && !r.goesOn():
		return out, r.run.Remove() // nothing of the agent's can be in it
	case !r.ran:
		out.Why = "it did not start again"
	case errors.Is(err, context.Canceled):
		out.Why = "it was interrupted"
	case err != nil:
		out.Why = "it was cut short"
	case exit.Code != 0:
		out.Why = fmt.Sprintf("the agent ended with %d", exit.Code)
	case r.Plan.Workspace.Path != "" && pack.Changed(r.workspace(), r.mark):
		out.Why = "its copy of the workspace has changes"
	default:
		return out, r.run.Remove()
	}
	out.Kept = true
	kept := errors.Join(r.run.Preserve(out.Why), r.snapshot())
	head, serr := r.sealLog(ctx, out.Why)
	out.Log = head
	return out, errors.Join(kept, serr, cerr)
}

func (r *running) workspace() string {
	return path.Join(r.run.Paths().Home, "workspace")
}

// snapshot copies the provider's record of the session to where it survives. The bottle is gone,
// so nothing changes under it; what is no plain file is left.
func (r *running) snapshot() error {
	if r.Transcript == "" {
		return nil
	}
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
	if err := copyFiles(home, r.Transcript, to, "."); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot keep the transcript: %w", err)
	}
	return nil
}

// copyFiles copies the plain files below a directory; links are not followed, nor copied.
func copyFiles(from *os.Root, dir string, to *os.Root, target string) error {
	info, err := from.Lstat(dir)
	if err != nil || !info.IsDir() {
		return err
	}
	d, err := from.Open(dir)
	if err != nil {
		return err
	}
	entries, err := d.ReadDir(-1)
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, e := range entries {
		src, dst := path.Join(dir, e.Name()), path.Join(target, e.Name())
		switch {
		case e.IsDir():
			if err := to.Mkdir(dst, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			if err := copyFiles(from, src, to, dst); err != nil {
				return err
			}
		case e.Type().IsRegular():
			if err := copyFile(from, src, to, dst); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyFile(from *os.Root, src string, to *os.Root, dst string) error {
	in, err := from.OpenFile(src, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := to.OpenFile(dst, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
