package session

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// stream joins a session's frames with the caller's streams.
type stream struct {
	conn   *wire.Conn
	stdio  backend.Stdio
	leaves bool // the end of the input ends the session, not the command
	credit chan struct{}
	over   chan struct{} // closed when the session has ended

	once sync.Once // guards left
	left chan struct{}
}

func newStream(c *wire.Conn, stdio backend.Stdio) *stream {
	s := &stream{conn: c, stdio: stdio, credit: make(chan struct{}, wire.Window), over: make(chan struct{}), left: make(chan struct{})}
	for range wire.Window {
		s.credit <- struct{}{}
	}
	return s
}

// run serves the session until the guest tells its end. When ctx ends, stop is called once.
//
// A goroutine that reads stdio.In may outlive it, blocked in a read that nobody can interrupt; it
// takes no more than that one read.
func (s *stream) run(ctx context.Context, stop func()) (backend.Exit, error) {
	defer s.conn.Close()
	var others sync.WaitGroup
	defer others.Wait()
	defer close(s.over)
	others.Go(func() {
		select {
		case <-ctx.Done():
			stop()
		case <-s.over:
		}
	})
	others.Go(s.control)
	if s.stdio.In != nil {
		go s.input()
	}
	exit, err := s.output()
	if err != nil && s.hasLeft() {
		return backend.Exit{}, nil
	}
	if err != nil && ctx.Err() != nil {
		return exit, ctx.Err()
	}
	return exit, err
}

func (s *stream) hasLeft() bool {
	select {
	case <-s.left:
		return true
	default:
		return false
	}
}

// cancel asks the guest to end the command; the session goes on until it has.
func (s *stream) cancel() { _ = s.conn.Send(wire.KindCancel, nil) }

func (s *stream) output() (backend.Exit, error) {
	for {
		kind, payload, err := s.conn.Receive()
		if err != nil {
			return backend.Exit{}, err
		}
		switch kind {
		case wire.KindStdout:
			discard(s.stdio.Out, payload)
		case wire.KindStderr:
			discard(s.stdio.Err, payload)
		case wire.KindCredit:
			select {
			case s.credit <- struct{}{}:
			default:
			}
		case wire.KindExit:
			var e wire.Exit
			if err := wire.Decode(payload, &e); err != nil {
				return backend.Exit{}, err
			}
			return backend.Exit(e), nil
		case wire.KindFailure:
			var f wire.Failure
			if err := wire.Decode(payload, &f); err != nil {
				return backend.Exit{}, err
			}
			return backend.Exit{}, &f
		}
	}
}

// discard writes where somebody listens. One who stops listening does not end the command.
func discard(w io.Writer, p []byte) {
	if w != nil {
		_, _ = w.Write(p)
	}
}

func (s *stream) input() {
	buf := make([]byte, wire.InputChunk)
	for {
		n, err := s.stdio.In.Read(buf)
		if n > 0 && !s.send(buf[:n]) {
			return
		}
		if errors.Is(err, io.EOF) && s.leaves {
			s.once.Do(func() { close(s.left) })
			_ = s.conn.Close()
			return
		}
		if err != nil {
			_ = s.conn.Send(wire.KindStdinEnd, nil)
			return
		}
	}
}

func (s *stream) send(p []byte) bool {
	select {
	case <-s.credit:
		return s.conn.Send(wire.KindStdin, p) == nil
	case <-s.over:
		return false
	}
}

func (s *stream) control() {
	resize, signals := s.stdio.Resize, s.stdio.Signals
	for resize != nil || signals != nil {
		select {
		case size, ok := <-resize:
			if !ok {
				resize = nil
				continue
			}
			_ = s.conn.Send(wire.KindResize, wire.EncodeSize(size.Rows, size.Cols))
		case name, ok := <-signals:
			if !ok {
				signals = nil
				continue
			}
			_ = s.conn.Send(wire.KindSignal, []byte(name))
		case <-s.over:
			return
		}
	}
}
