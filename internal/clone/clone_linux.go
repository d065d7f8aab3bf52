package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// stretch is how much is copied before the context is asked again.
const stretch = 16 << 20

// Content copies the first size bytes of a file to an empty one: by sharing them where the file
// system can, else one stretch of data after the other, so that holes stay holes.
func Content(ctx context.Context, out, in *os.File, size int64) error {
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		return out.Truncate(size)
	}
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing but a hole is left
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(in.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if end = min(end, size, data+stretch); end <= data {
			break // it has grown, and only that is no hole
		}
		if _, err := in.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := out.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, end-data); err != nil {
			return err
		}
		at = end
	}
	return out.Truncate(size)
}

func pipe(dst *os.Root, name string) error {
	parent, err := dst.Open(".")
	if err != nil {
		return err
	}
	defer parent.Close()
	return unix.Mknodat(int(parent.Fd()), name, unix.S_IFIFO|0o600, 0)
}

// attributes copies the extended attributes of a directory.
func attributes(src, dst *os.Root) error {
	in, err := src.Open(".")
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := dst.Open(".")
	if err != nil {
		return err
	}
	defer out.Close()
	return fileAttributes(in, out)
}

// fileAttributes copies those that a user can set; file systems without any have none.
func fileAttributes(in, out *os.File) error {
	names := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(in.Fd()), names)
	if err != nil {
		if errors.Is(err, unix.ENOTSUP) {
			return nil
		}
		return fmt.Errorf("cannot list its attributes: %w", err)
	}
	value := make([]byte, 64<<10)
	for _, name := range splitNUL(names[:n]) {
		if len(name) < 5 || name[:5] != "user." {
			continue
		}
		n, err := unix.Fgetxattr(int(in.Fd()), name, value)
		if err == nil {
			err = unix.Fsetxattr(int(out.Fd()), name, value[:n], 0)
		}
		if err != nil {
			return fmt.Errorf("cannot copy its attribute %q: %w", name, err)
		}
	}
	return nil
}

func splitNUL(all []byte) []string {
	var names []string
	for start, i := 0, 0; i < len(all); i++ {
		if all[i] == 0 {
			names = append(names, string(all[start:i]))
			start = i + 1
		}
	}
	return names
}
