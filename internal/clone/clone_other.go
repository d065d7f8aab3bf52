//go:build !linux

package clone

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// content copies the bytes.
func content(out, in *os.File, _ int64) error {
	_, err := io.Copy(out, in)
	return err
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
