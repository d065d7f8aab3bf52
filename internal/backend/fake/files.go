package fake

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// CopyIn implements backend.Files, below the home only.
func (d *Driver) CopyIn(_ context.Context, h backend.Handle, dir string, r io.Reader) error {
	l, err := d.running(h)
	if err != nil {
		return err
	}
	rel, ok := l.inside(dir)
	if !ok {
		return fault.New(fault.NotFound, "cannot copy into %s: a fake bottle has a home and nothing else", dir)
	}
	home, err := os.OpenRoot(l.plan.Paths.Home)
	if err != nil {
		return err
	}
	defer home.Close()
	if err := home.MkdirAll(rel, 0o755); err != nil {
		return err
	}
	base, err := home.OpenRoot(rel)
	if err != nil {
		return err
	}
	defer base.Close()
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpack(base, header, archive); err != nil {
			return fault.New(fault.Invalid, "cannot unpack %q: %w", header.Name, err)
		}
	}
}

func unpack(base *os.Root, h *tar.Header, content io.Reader) error {
	if h.Mode&0o6000 != 0 {
		return errors.New("it is set-user-id or set-group-id")
	}
	name := path.Clean(h.Name)
	if err := plain(base, path.Dir(name)); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return base.MkdirAll(name, fs.FileMode(h.Mode&0o777))
	case tar.TypeReg:
		if err := base.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f, err := base.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(h.Mode&0o777))
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	case tar.TypeSymlink:
		return base.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return base.Link(h.Linkname, name)
	}
	return errors.New("entries of its type are refused")
}

// plain makes a directory and its parents and refuses one that is a link.
func plain(base *os.Root, dir string) error {
	if err := base.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for ; dir != "."; dir = path.Dir(dir) {
		info, err := base.Lstat(dir)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return errors.New("it passes a link")
		}
	}
	return nil
}

// CopyOut implements backend.Files, below the home only.
func (d *Driver) CopyOut(_ context.Context, h backend.Handle, name string) (io.ReadCloser, error) {
	l, err := d.running(h)
	if err != nil {
		return nil, err
	}
	rel, ok := l.inside(name)
	if !ok {
		return nil, fault.New(fault.NotFound, "cannot copy %s: a fake bottle has a home and nothing else", name)
	}
	home, err := os.OpenRoot(l.plan.Paths.Home)
	if err != nil {
		return nil, err
	}
	if _, err := home.Lstat(rel); err != nil {
		_ = home.Close()
		return nil, fault.New(fault.NotFound, "cannot copy %s: %w", name, err)
	}
	read, write := io.Pipe()
	go func() {
		defer home.Close()
		archive := tar.NewWriter(write)
		err := pack(archive, home, rel, path.Base(name))
		_ = write.CloseWithError(errors.Join(err, archive.Close()))
	}()
	return read, nil
}

func pack(archive *tar.Writer, home *os.Root, top, as string) error {
	return fs.WalkDir(home.FS(), top, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := home.Lstat(name)
		if err != nil {
			return err
		}
		link := ""
		if info.Mode().Type() == fs.ModeSymlink {
			if link, err = home.Readlink(name); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name = path.Join(as, strings.TrimPrefix(name, top))
		if info.IsDir() {
			h.Name += "/"
		}
		if err := archive.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := home.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(archive, f)
		return err
	})
}
