// Package clone copies a directory tree exactly: bytes, holes, names, owners, modes, times, links of
// both kinds and extended attributes.
//
// Its one rule: no link in the tree is followed, and nothing outside of it is read or written,
// whatever the one who made the tree intended.
package clone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// maxDepth bounds how deep a tree may be; each level holds two descriptors.
const maxDepth = 512

// Summary says what was copied.
type Summary struct {
	Files, Directories, Links int
	Bytes                     int64 // of the files as they are read, holes included
	Left                      []string
}

// Tree copies the directory from to the directory to, which must not exist. Sockets and devices
// are not copied but named in the Summary; owners are kept where the caller may set them. What
// fails leaves a part of the copy behind, which the caller removes.
func Tree(ctx context.Context, from, to string) (Summary, error) {
	src, err := os.OpenRoot(from)
	if err != nil {
		return Summary{}, fmt.Errorf("cannot copy %s: %w", from, err)
	}
	defer src.Close()
	info, err := src.Stat(".")
	if err != nil {
		return Summary{}, fmt.Errorf("cannot copy %s: %w", from, err)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return Summary{}, fmt.Errorf("cannot copy to %s: %w", to, err)
	}
	dst, err := os.OpenRoot(to)
	if err != nil {
		return Summary{}, fmt.Errorf("cannot copy to %s: %w", to, err)
	}
	defer dst.Close()
	c := &copier{ctx: ctx, top: dst, seen: map[inode]string{}}
	c.directories = []directory{{".", info}}
	err = c.fill(src, dst, ".", 0)
	if err == nil {
		err = c.close()
	}
	if err != nil {
		return c.sum, fmt.Errorf("cannot copy %s: %w", from, err)
	}
	return c.sum, nil
}

// copier is one copy.
type copier struct {
	ctx  context.Context //nolint:containedctx // it lives as long as one call
	top  *os.Root
	seen map[inode]string // files with several names, by the first one
	sum  Summary

	directories []directory // in the order in which they were made
}

// directory is one of the copy that waits for its owner, mode and times.
type directory struct {
	path string
	info fs.FileInfo
}

// close gives the directories what keeps others out of them, once nothing more is made or linked in
// any: those that were made last first, so that no parent is closed before what it holds.
func (c *copier) close() error {
	for _, d := range slices.Backward(c.directories) {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		parent, err := c.top.OpenRoot(filepath.Dir(d.path))
		if err != nil {
			return fmt.Errorf("%s: %w", d.path, err)
		}
		if err := errors.Join(finish(parent, filepath.Base(d.path), d.info), parent.Close()); err != nil {
			return fmt.Errorf("%s: %w", d.path, err)
		}
	}
	return nil
}

type inode struct{ dev, ino uint64 }

// fill copies what a directory holds.
func (c *copier) fill(src, dst *os.Root, path string, depth int) error {
	if depth > maxDepth {
		return fault.New(fault.Denied, "%s is more than %d directories deep", path, maxDepth)
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	dir, err := src.Open(".")
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := c.one(src, dst, filepath.Join(path, name), name, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) one(src, dst *os.Root, path, name string, depth int) error {
	info, err := src.Lstat(name)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: the system does not say what it is", path)
	}
	if !info.IsDir() && st.Nlink > 1 {
		key := inode{uint64(st.Dev), st.Ino} //nolint:unconvert // its size differs by system
		if first, there := c.seen[key]; there {
			return c.top.Link(first, path)
		}
		c.seen[key] = path
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return c.descend(src, dst, path, name, info, depth)
	case 0:
		err = c.file(src, dst, name, info)
	case fs.ModeSymlink:
		var target string
		if target, err = src.Readlink(name); err == nil {
			err = dst.Symlink(target, name)
		}
		c.sum.Links++
	case fs.ModeNamedPipe:
		err = pipe(dst, name)
	default:
		c.sum.Left = append(c.sum.Left, path)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return finish(dst, name, info)
}

func (c *copier) descend(src, dst *os.Root, path, name string, info fs.FileInfo, depth int) error {
	if err := dst.Mkdir(name, 0o700); err != nil {
		return err
	}
	back, err := allow(src, name, info, 0o700)
	if err != nil {
		return err
	}
	defer back()
	below, err := src.OpenRoot(name)
	if err != nil {
		return err
	}
	defer below.Close()
	there, err := dst.OpenRoot(name)
	if err != nil {
		return err
	}
	defer there.Close()
	c.sum.Directories++
	c.directories = append(c.directories, directory{path, info})
	if err := c.fill(below, there, path, depth+1); err != nil {
		return err
	}
	if err := attributes(below, there); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (c *copier) file(src, dst *os.Root, name string, info fs.FileInfo) error {
	back, err := allow(src, name, info, 0o400)
	if err != nil {
		return err
	}
	defer back()
	in, err := src.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	if now, err := in.Stat(); err != nil || !os.SameFile(info, now) {
		return errors.Join(err, errors.New("it changed while it was opened"))
	}
	out, err := dst.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	c.sum.Files++
	c.sum.Bytes += info.Size()
	err = Content(c.ctx, out, in, info.Size())
	if err == nil {
		err = fileAttributes(in, out)
	}
	return errors.Join(err, out.Close())
}

// allow gives the owner, where that is the caller and not root, the rights to read what its mode
// forbids even to the owner. What it returns takes them away again.
func allow(src *os.Root, name string, info fs.FileInfo, rights fs.FileMode) (back func(), err error) {
	if os.Geteuid() == 0 || info.Mode().Perm()&rights == rights {
		return func() {}, nil
	}
	if err := src.Chmod(name, info.Mode()|rights); err != nil {
		return nil, err
	}
	return func() { _ = src.Chmod(name, info.Mode()) }, nil
}

// finish gives a copy its owner, mode and times, in the order in which one does not undo another.
func finish(dst *os.Root, name string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the system does not say whose it is")
	}
	if os.Geteuid() == 0 {
		if err := dst.Lchown(name, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	link := info.Mode().Type() == fs.ModeSymlink
	if !link {
		if err := dst.Chmod(name, info.Mode()); err != nil {
			return err
		}
	}
	parent, err := dst.Open(".")
	if err != nil {
		return err
	}
	defer parent.Close()
	when := unix.NsecToTimespec(info.ModTime().UnixNano())
	return unix.UtimesNanoAt(int(parent.Fd()), name, []unix.Timespec{when, when}, unix.AT_SYMLINK_NOFOLLOW)
}
