//go:build !linux

package docker

import (
	"os"
	"path/filepath"
)

// inDir calls do with a short path to a name in a directory: a socket's address holds 103 bytes.
func inDir(dir, name string, do func(path string) error) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	short, err := os.MkdirTemp("/tmp", "bb")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(short) }()
	link := filepath.Join(short, "d")
	if err := os.Symlink(dir, link); err != nil {
		return err
	}
	return do(filepath.Join(link, name))
}
