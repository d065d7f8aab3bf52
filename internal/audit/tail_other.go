//go:build !linux

package audit

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lookAgain is how often a file is looked at where the system cannot tell of its changes in a way
// that is common to all of them.
const lookAgain = 100 * time.Millisecond

// tail reads a file that grows. At its end it looks again after a while; it ends with io.EOF when
// the context does or the file has lost its name.
type tail struct {
	file *os.File
	done <-chan struct{}
	tick *time.Ticker
}

func newTail(ctx context.Context, file *os.File, _ string) (*tail, error) {
	return &tail{file: file, done: ctx.Done(), tick: time.NewTicker(lookAgain)}, nil
}

func (t *tail) close() { t.tick.Stop() }

func (t *tail) Read(p []byte) (int, error) {
	for {
		n, err := t.file.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		var st unix.Stat_t
		if unix.Fstat(int(t.file.Fd()), &st) != nil || st.Nlink == 0 {
			return 0, io.EOF
		}
		select {
		case <-t.tick.C:
		case <-t.done:
			return 0, io.EOF
		}
	}
}
