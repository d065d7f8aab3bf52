// Package rootfs builds the file system of a bottle from a description and turns it into the only
// one there is.
//
// Its one rule: it starts from an empty tmpfs, so what is not listed is not there.
package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// base is a directory that every host has. The new root is mounted over it, after everything that
// comes from the host was opened; pivot_root then makes the place irrelevant.
const base = "/usr"

// Private file systems of a bottle. Sizes are shares of the machine's memory.
const (
	rootOptions = "mode=755,size=16m"
)

// Writable are the directories in which a bottle's processes may write, besides the home.
func Writable() []string { return []string{"/tmp", "/run", "/dev", "/proc"} }

// Build mounts everything that s describes and makes it the root of the calling process. The
// result can still be written to; see Seal.
func Build(s *wire.Setup) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot separate the mounts from the host's: %w", err)
	}
	trees, err := openTrees(s.Trees)
	if err != nil {
		return err
	}
	root, err := newRoot()
	if err != nil {
		return err
	}
	defer root.close()
	for _, step := range []func() error{
		root.privateMounts,
		func() error { return root.links(s.Links) },
		func() error { return root.files(s.Files) },
		func() error { return root.trust(s.Trust) },
		func() error { return root.attach(trees) },
		root.proc,
		root.enter,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("cannot name the bottle %q: %w", s.Hostname, err)
	}
	return nil
}

// Seal appends pem to the trust bundle and makes the root and /dev read-only for good.
func Seal(t wire.Trust, pem string) error {
	if pem != "" {
		f, err := os.OpenFile(t.Path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return fmt.Errorf("cannot extend the trust bundle: %w", err)
		}
		_, err = f.WriteString("\n" + pem)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("cannot extend the trust bundle: %w", err)
		}
	}
	for _, dir := range []string{"/", "/dev"} {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
		if err := unix.MountSetattr(unix.AT_FDCWD, dir, 0, &attr); err != nil {
			return fmt.Errorf("cannot seal %s: %w", dir, err)
		}
	}
	return nil
}

// root is the new root while it is being built. Its paths are absolute in the bottle.
type root struct{ fd int }

func newRoot() (*root, error) {
	if err := unix.Mount("tmpfs", base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, rootOptions); err != nil {
		return nil, fmt.Errorf("cannot mount the bottle's root: %w", err)
	}
	fd, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the bottle's root: %w", err)
	}
	return &root{fd}, nil
}

func (r *root) close() { _ = unix.Close(r.fd) }

// open finds a path without following a link on the way: the bottle's home is written by its
// agent, also by that of an earlier run.
func (r *root) open(name string, flags uint64) (int, error) {
	rel := strings.TrimPrefix(path.Clean(name), "/")
	if rel == "" {
		rel = "."
	}
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Mode:    0,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flags&unix.O_CREAT != 0 {
		how.Mode = 0o444
	}
	return unix.Openat2(r.fd, rel, &how)
}

// mkdir makes a directory and its parents and returns a descriptor of it.
func (r *root) mkdir(name string) (int, error) {
	name = path.Clean(name)
	fd, err := r.open(name, unix.O_PATH|unix.O_DIRECTORY)
	if err == nil || !errors.Is(err, unix.ENOENT) || name == "/" {
		return fd, err
	}
	parent, err := r.mkdir(path.Dir(name))
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	if err := unix.Mkdirat(parent, path.Base(name), 0o755); err != nil && err != unix.EEXIST {
		return -1, err
	}
	return r.open(name, unix.O_PATH|unix.O_DIRECTORY)
}

// create makes a file that does not exist yet, for writing.
func (r *root) create(name string) (*os.File, error) {
	parent, err := r.mkdir(path.Dir(name))
	if err != nil {
		return nil, err
	}
	_ = unix.Close(parent)
	fd, err := r.open(name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (r *root) links(links []wire.Link) error {
	for _, l := range links {
		parent, err := r.mkdir(path.Dir(l.Path))
		if err == nil {
			err = unix.Symlinkat(l.To, parent, path.Base(l.Path))
			_ = unix.Close(parent)
		}
		if err != nil {
			return fmt.Errorf("cannot link %s: %w", l.Path, err)
		}
	}
	return nil
}

func (r *root) files(files []wire.File) error {
	for _, one := range files {
		f, err := r.create(one.Path)
		if err == nil {
			_, err = f.WriteString(one.Content)
			if closed := f.Close(); err == nil {
				err = closed
			}
		}
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", one.Path, err)
		}
	}
	return nil
}

// trust copies the host's bundle; it stays writable for Seal.
func (r *root) trust(t wire.Trust) error {
	f, err := r.create(t.Path)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", t.Path, err)
	}
	defer f.Close()
	if err := f.Chmod(0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", t.Path, err)
	}
	if t.FD == 0 {
		return nil
	}
	host := os.NewFile(uintptr(t.FD), "trust")
	defer host.Close()
	if _, err := f.ReadFrom(host); err != nil {
		return fmt.Errorf("cannot copy the host's certificates: %w", err)
	}
	return nil
}

// enter makes the new root the root of this process and lets go of the old one.
func (r *root) enter() error {
	if err := unix.Fchdir(r.fd); err != nil {
		return fmt.Errorf("cannot enter the bottle's root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("cannot make the bottle's root the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("cannot let go of the host's root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("cannot enter the bottle's root: %w", err)
	}
	return nil
}

// sorted puts parents before what is mounted in them.
func sorted(trees []tree) []tree {
	slices.SortStableFunc(trees, func(a, b tree) int { return len(a.Target) - len(b.Target) })
	return trees
}

// Probe builds an empty root in a private place, to find out whether this host permits it.
func Probe() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot separate the mounts from the host's: %w", err)
	}
	fd, err := OpenTree("/dev/null", true, true)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	root, err := newRoot()
	if err != nil {
		return err
	}
	defer root.close()
	if err := root.put(fd, "/dev/null", false); err != nil {
		return fmt.Errorf("cannot mount a device: %w", err)
	}
	return root.proc()
}
