// Package pack turns folders of the host into tar streams for a bottle, and tells whether a
// bottle's copy was changed since.
//
// Its one rule: links are never followed and nothing special travels. What cannot go along is
// named, not dropped in silence.
package pack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

// Summary tells what was packed.
type Summary struct {
	Files   int
	Bytes   int64
	Skipped []string // "path: why"
}

// Rewrite may replace the content of a small file on its way; it gets the path below the root
// with slashes. Nil keeps everything as it is.
type Rewrite func(name string) func([]byte) []byte

// Tree writes the folder dir below the prefix into w. Symbolic links stay links, also those that
// point nowhere in the bottle; hard links become files of their own; devices, sockets and pipes
// are skipped and named; setuid, setgid and sticky bits and owners are left behind.
func Tree(ctx context.Context, w *tar.Writer, dir, prefix string, rewrite Rewrite) (Summary, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Summary{}, fmt.Errorf("cannot open %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	p := packer{ctx: ctx, w: w, root: root, dir: dir, prefix: prefix, rewrite: rewrite}
	if err := p.directory("."); err != nil {
		return p.sum, err
	}
	return p.sum, nil
}

// File writes one regular file into w.
func File(w *tar.Writer, name string, mode fs.FileMode, content []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode.Perm()), Size: int64(len(content)), ModTime: time.Unix(1, 0)}
	if err := w.WriteHeader(h); err != nil {
		return fmt.Errorf("cannot pack %s: %w", name, err)
	}
	if _, err := w.Write(content); err != nil {
		return fmt.Errorf("cannot pack %s: %w", name, err)
	}
	return nil
}

type packer struct {
	ctx         context.Context //nolint:containedctx // of one call of Tree, which it does not outlive
	w           *tar.Writer
	root        *os.Root
	dir, prefix string
	rewrite     Rewrite
	sum         Summary
}

func (p *packer) directory(name string) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	d, err := p.root.Open(name)
	if err != nil {
		return p.skip(name, err)
	}
	info, err := d.Stat()
	if err != nil {
		_ = d.Close()
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	entries, err := d.ReadDir(-1)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path.Join(p.dir, name), err)
	}
	if err := p.header(&tar.Header{Typeflag: tar.TypeDir, Mode: int64(info.Mode().Perm() | 0o700)}, name, info.ModTime()); err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.entry(path.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) entry(name string) error {
	info, err := p.root.Lstat(name)
	if err != nil {
		return p.skip(name, err)
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return p.directory(name)
	case fs.ModeSymlink:
		target, err := p.root.Readlink(name)
		if err != nil {
			return p.skip(name, err)
		}
		return p.header(&tar.Header{Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}, name, info.ModTime())
	case 0:
		return p.regular(name)
	}
	p.sum.Skipped = append(p.sum.Skipped, fmt.Sprintf("%s: %s", name, kind(info.Mode())))
	return nil
}

func (p *packer) regular(name string) error {
	f, err := p.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return p.skip(name, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	if !info.Mode().IsRegular() { // it was exchanged since it was looked at
		return p.skip(name, fs.ErrInvalid)
	}
	var body io.Reader = f
	size := info.Size()
	if p.rewrite != nil {
		if change := p.rewrite(name); change != nil {
			raw, err := io.ReadAll(f)
			if err != nil {
				return fmt.Errorf("cannot read %s: %w", name, err)
			}
			raw = change(raw)
			body, size = bytes.NewReader(raw), int64(len(raw))
		}
	}
	if err := p.header(&tar.Header{Typeflag: tar.TypeReg, Mode: int64(info.Mode().Perm()), Size: size}, name, info.ModTime()); err != nil {
		return err
	}
	if _, err := io.Copy(p.w, io.LimitReader(body, size)); err != nil {
		return fmt.Errorf("cannot pack %s: %w", name, err)
	}
	p.sum.Files++
	p.sum.Bytes += size
	return p.w.Flush() // fails when the file shrank meanwhile
}

func (p *packer) header(h *tar.Header, name string, mod time.Time) error {
	h.Name, h.ModTime, h.Format = path.Join(p.prefix, name), mod, tar.FormatPAX
	if h.Typeflag == tar.TypeDir {
		h.Name += "/"
	}
	if err := p.w.WriteHeader(h); err != nil {
		return fmt.Errorf("cannot pack %s: %w", name, err)
	}
	return nil
}

// skip notes what went away or may not be read; every other failure ends the packing.
func (p *packer) skip(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, syscall.ELOOP) {
		p.sum.Skipped = append(p.sum.Skipped, fmt.Sprintf("%s: %v", name, errors.Unwrap(err)))
		return nil
	}
	return fmt.Errorf("cannot pack %s: %w", path.Join(p.dir, name), err)
}

func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "not a file, folder or link"
}
