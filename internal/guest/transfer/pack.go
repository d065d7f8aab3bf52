package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// Pack writes a path of the bottle and all below it as a tar stream whose first entry is the
// path's last element, as `docker cp` does. Links are packed as links; devices, pipes and sockets
// are left out; set-user-id bits are taken off. A path that passes a link is not found.
func Pack(name string, w io.Writer) error {
	if !path.IsAbs(name) {
		return invalid("cannot copy %q: the path must be absolute", name)
	}
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	root := directory{fd}
	defer root.close()
	rel := strings.TrimPrefix(path.Clean(name), "/")
	if rel == "" {
		return invalid("cannot copy /: name a directory in it")
	}
	parent, err := root.open(parentOf(rel), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return missing(name, err)
	}
	defer unix.Close(parent)
	p := &packer{archive: tar.NewWriter(w)}
	if err := p.add(parent, path.Base(rel), path.Base(rel)); err != nil {
		return missing(name, err)
	}
	return p.archive.Close()
}

func missing(name string, err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return wire.Fail(wire.FailNotFound, fmt.Sprintf("cannot copy %s: %v", name, err))
	}
	return fmt.Errorf("cannot copy %s: %w", name, err)
}

type packer struct{ archive *tar.Writer }

// add packs one name of an open directory. What vanishes or changes its kind meanwhile is left
// out below the top.
func (p *packer) add(parent int, base, as string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	h := &tar.Header{
		Name: as, Mode: int64(st.Mode & 0o777), ModTime: time.Unix(st.Mtim.Unix()),
		Uname: "node", Gname: "node", Uid: int(st.Uid), Gid: int(st.Gid), Format: tar.FormatPAX,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return p.dir(parent, base, h)
	case unix.S_IFREG:
		return p.file(parent, base, h)
	case unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(parent, base, buf)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, string(buf[:n])
		return p.archive.WriteHeader(h)
	}
	return nil
}

func (p *packer) dir(parent int, base string, h *tar.Header) error {
	fd, err := directory{parent}.open(base, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	if err := p.archive.WriteHeader(h); err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		err := p.add(fd, name, h.Name+name)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.EACCES) {
			return err
		}
	}
	return nil
}

func (p *packer) file(parent int, base string, h *tar.Header) error {
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := p.archive.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(p.archive, io.LimitReader(f, h.Size))
	if err != nil {
		return err
	}
	_, err = io.CopyN(p.archive, zeros{}, h.Size-n) // it shrank while it was read
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// utimens sets the modification time of an open file; see utimensat(2).
func utimens(fd int, t unix.Timespec) error {
	times := [2]unix.Timespec{{Nsec: unix.UTIME_NOW}, t}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
