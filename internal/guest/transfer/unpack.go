// Package transfer moves files in and out of a bottle as tar streams.
//
// Its one rule: a name is resolved below its directory without following any link, by the kernel
// and in one step where it can, so that an agent that swaps links meanwhile gains nothing.
package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// Unpack writes the entries of a tar stream below dir, which is made if it is missing. What is
// there already is replaced, but a directory stays. Entries that leave dir, devices, pipes,
// sockets and set-user-id bits are refused.
func Unpack(dir string, r io.Reader) error {
	if !path.IsAbs(dir) {
		return invalid("cannot copy into %q: the directory must be absolute", dir)
	}
	base, err := openDir(dir)
	if err != nil {
		return fmt.Errorf("cannot open %s in the bottle: %w", dir, err)
	}
	defer base.close()
	archive := tar.NewReader(r)
	var dirs []*tar.Header // their times are set last, for writing into them changes them
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("cannot read the archive: %w", err)
		}
		if err := base.entry(h, archive); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			dirs = append(dirs, h)
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("cannot read the archive: %w", err)
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		name, _ := clean(dirs[i].Name)
		if err := base.finish(name, dirs[i]); err != nil {
			return err
		}
	}
	return nil
}

// directory is the one below which all happens.
type directory struct{ fd int }

func (d directory) close() { _ = unix.Close(d.fd) }

// openDir opens an absolute directory, and makes it and its parents.
func openDir(dir string) (directory, error) {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return directory{-1}, err
	}
	root := directory{fd}
	defer root.close()
	opened, err := root.mkdir(strings.TrimPrefix(path.Clean(dir), "/"))
	return directory{opened}, err
}

// open opens the directory of a clean relative name; "" is the one itself.
func (d directory) open(name string, flags uint64) (int, error) {
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for {
		fd, err := unix.Openat2(d.fd, name, &how)
		if err == unix.ENOSYS { // gVisor's kernel does not know it
			return d.walk(name, flags)
		}
		if err != unix.EAGAIN && err != unix.EINTR { // EAGAIN: a rename raced with it
			return fd, err
		}
	}
}

// walk is open in as many steps as name has elements. Each is of a directory that is open already,
// follows no link and goes up nowhere, so it ends below d or fails, as the one step does. Only
// with O_PATH does gVisor not follow a link that is to be a directory.
func (d directory) walk(name string, flags uint64) (int, error) {
	at := d.fd
	for element := range strings.SplitSeq(name, "/") {
		if element == ".." {
			return -1, unix.EXDEV
		}
		fd, err := unix.Openat(at, element, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if at != d.fd {
			_ = unix.Close(at)
		}
		if err != nil {
			return -1, err
		}
		at = fd
	}
	if flags&unix.O_PATH != 0 {
		return at, nil
	}
	defer unix.Close(at)
	return unix.Openat(at, ".", int(flags)|unix.O_CLOEXEC, 0)
}

func (d directory) mkdir(name string) (int, error) {
	fd, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if !errors.Is(err, unix.ENOENT) || name == "" {
		return fd, err
	}
	parent, err := d.mkdir(parentOf(name))
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	if err := unix.Mkdirat(parent, path.Base(name), 0o755); err != nil && err != unix.EEXIST {
		return -1, err
	}
	return d.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
}

func parentOf(name string) string {
	if p := path.Dir(name); p != "." {
		return p
	}
	return ""
}

// clean makes an entry's name relative; it fails for one that would leave the directory.
func clean(name string) (string, error) {
	if path.IsAbs(name) || strings.ContainsRune(name, 0) {
		return "", invalid("cannot unpack %q: the name is absolute", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", invalid("cannot unpack %q: it leaves its directory", name)
		}
	}
	if name = path.Clean(name); name == "." {
		name = ""
	}
	return name, nil
}

func (d directory) entry(h *tar.Header, content io.Reader) error {
	name, err := clean(h.Name)
	if err != nil {
		return err
	}
	if h.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
		return invalid("cannot unpack %q: it is set-user-id or set-group-id", h.Name)
	}
	if name == "" && h.Typeflag != tar.TypeDir {
		return invalid("cannot unpack %q: it is no name for a file", h.Name)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		err = d.dir(name)
	case tar.TypeReg:
		err = d.file(name, h, content)
	case tar.TypeSymlink:
		err = d.link(name, func(parent int, base string) error { return unix.Symlinkat(h.Linkname, parent, base) })
	case tar.TypeLink:
		err = d.hardLink(name, h.Linkname)
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return invalid("cannot unpack %q: entries of type %q are refused", h.Name, string(h.Typeflag))
	}
	if err != nil {
		return fmt.Errorf("cannot unpack %q: %w", h.Name, err)
	}
	return nil
}

func (d directory) dir(name string) error {
	fd, err := d.mkdir(name)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// link removes what is at a name, unless it is a directory, and puts something new there.
func (d directory) link(name string, put func(parent int, base string) error) error {
	parent, err := d.mkdir(parentOf(name))
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if err := unix.Unlinkat(parent, path.Base(name), 0); err != nil && err != unix.ENOENT {
		return err
	}
	return put(parent, path.Base(name))
}

func (d directory) file(name string, h *tar.Header, content io.Reader) error {
	var f *os.File
	err := d.link(name, func(parent int, base string) error {
		fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			f = os.NewFile(uintptr(fd), name)
		}
		return err
	})
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if err := unix.Fchmod(int(f.Fd()), uint32(h.Mode&0o777)); err != nil {
		return err
	}
	return setTimes(int(f.Fd()), h.ModTime)
}

// hardLink links to an earlier entry, both names resolved alike.
func (d directory) hardLink(name, target string) error {
	old, err := clean(target)
	if err != nil {
		return err
	}
	from, err := d.open(parentOf(old), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	return d.link(name, func(parent int, base string) error {
		return unix.Linkat(from, path.Base(old), parent, base, 0)
	})
}

// finish gives a directory its mode and time.
func (d directory) finish(name string, h *tar.Header) error {
	fd, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err == nil {
		defer unix.Close(fd)
		if err = unix.Fchmod(fd, uint32(h.Mode&0o777)); err == nil {
			err = setTimes(fd, h.ModTime)
		}
	}
	if err != nil && name != "" { // the directory itself may be another's, such as a mount
		return fmt.Errorf("cannot unpack %q: %w", h.Name, err)
	}
	return nil
}

func setTimes(fd int, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	now := unix.NsecToTimespec(t.UnixNano())
	return utimens(fd, now)
}

func invalid(format string, args ...any) error {
	return wire.Fail(wire.FailInvalid, fmt.Sprintf(format, args...))
}
