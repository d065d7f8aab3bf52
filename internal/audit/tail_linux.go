package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// tail reads a file that grows. At its end it waits for inotify; it ends with io.EOF when the
// context does or the file has lost its name.
type tail struct {
	file   *os.File
	notify *os.File
	stop   func() bool
}

func newTail(ctx context.Context, file *os.File, path string) (*tail, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot follow the audit log: %w", err)
	}
	notify := os.NewFile(uintptr(fd), "inotify")
	// IN_ATTRIB because the last unlink of an open file changes only its link count.
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY|unix.IN_ATTRIB); err != nil {
		notify.Close()
		return nil, fmt.Errorf("cannot follow the audit log %s: %w", path, err)
	}
	return &tail{file: file, notify: notify, stop: context.AfterFunc(ctx, func() { notify.Close() })}, nil
}

func (t *tail) close() {
	if t.stop() {
		t.notify.Close()
	}
}

func (t *tail) Read(p []byte) (int, error) {
	for {
		n, err := t.file.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if t.removed() {
			return 0, io.EOF
		}
		var changes [4096]byte
		if _, err := t.notify.Read(changes[:]); err != nil {
			return 0, io.EOF // closed with the context
		}
	}
}

func (t *tail) removed() bool {
	var st unix.Stat_t
	return unix.Fstat(int(t.file.Fd()), &st) != nil || st.Nlink == 0
}
