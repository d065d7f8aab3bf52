//go:build !linux

package clone

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Content copies the first size bytes of a file to an empty one.
func Content(ctx context.Context, out, in *os.File, size int64) error {
	const stretch = 16 << 20 // is how much is copied before the context is asked again
	for at := int64(0); at < size; at += stretch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, min(stretch, size-at)); err != nil {
			return err
		}
	}
	return nil
}

func pipe(dst *os.Root, name string) error {
	if err := unix.Mkfifo(filepath.Join(dst.Name(), name), 0o600); err != nil {
		return fmt.Errorf("cannot make the pipe %s: %w", name, err)
	}
	return nil
}

// attributes and fileAttributes copy nothing: what a bottle sets lies in the engine's machine.
func attributes(_, _ *os.Root) error { return nil }

func fileAttributes(_, _ *os.File) error { return nil }
