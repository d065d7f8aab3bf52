package egress

import (
	"io"
	"math"
	"sync/atomic"
	"time"
)

// silence ends a tunnel when neither side has said anything for too long. It is of both
// directions: a client may listen for as long as it is sent something, and a server the same.
type silence struct {
	now   func() time.Time
	limit time.Duration
	last  atomic.Int64 // when something was heard, in Unix nanoseconds
	timer *time.Timer
}

// watchSilence calls end once where it is silent for the limit. The caller stops it.
func watchSilence(now func() time.Time, limit time.Duration, end func()) *silence {
	w := &silence{now: now, limit: limit}
	w.last.Store(now().UnixNano())
	w.timer = time.AfterFunc(math.MaxInt64, func() {
		if left := w.limit - w.since(); left > 0 {
			w.timer.Reset(left)
			return
		}
		end()
	})
	w.timer.Reset(limit)
	return w
}

func (w *silence) since() time.Duration { return time.Duration(w.now().UnixNano() - w.last.Load()) }

func (w *silence) stop() { w.timer.Stop() }

// hearing is a reader that breaks the silence.
func (w *silence) hearing(r io.Reader) io.Reader { return &heard{r, w} }

type heard struct {
	io.Reader
	by *silence
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if n > 0 {
		h.by.last.Store(h.by.now().UnixNano())
	}
	return n, err
}
