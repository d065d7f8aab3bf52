package session

import (
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// What a joining terminal is shown of the past, and how far one may lag behind.
const (
	replay = 64 << 10
	lag    = 256 // chunks; the one who lags more is cut off, the agent never waits for it
)

// screen is the output of the agent, for those who join. A nil screen shows nothing to nobody.
type screen struct {
	mu      sync.Mutex // guards what follows
	cmd     *command
	past    []byte
	viewers map[chan []byte]struct{}
	exit    wire.Exit
	over    chan struct{}
}

func newScreen() *screen {
	return &screen{viewers: make(map[chan []byte]struct{}), over: make(chan struct{})}
}

func (v *screen) begin(c *command) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cmd = c
}

func (v *screen) command() *command {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cmd
}

func (v *screen) write(p []byte) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.past = append(v.past, p...)
	if len(v.past) > 2*replay {
		v.past = append(v.past[:0], v.past[len(v.past)-replay:]...)
	}
	if len(v.viewers) == 0 {
		return
	}
	chunk := append([]byte(nil), p...)
	for viewer := range v.viewers {
		select {
		case viewer <- chunk:
		default:
			delete(v.viewers, viewer)
			close(viewer)
		}
	}
}

// join returns the recent past and what follows it. The channel is closed for one who lags.
func (v *screen) join() (past []byte, follow chan []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	follow = make(chan []byte, lag)
	v.viewers[follow] = struct{}{}
	past = v.past[max(0, len(v.past)-replay):]
	return append([]byte(nil), past...), follow
}

func (v *screen) leave(follow chan []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, still := v.viewers[follow]; still {
		delete(v.viewers, follow)
		close(follow)
	}
}

// finish tells the viewers the end, after all output.
func (v *screen) finish(exit wire.Exit) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.exit = exit
	close(v.over)
}

func (s *Server) current() *screen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agent
}

func (s *Server) claim(v *screen) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent != nil {
		return wire.Fail(wire.FailBusy, "cannot start the agent: it is running already")
	}
	s.agent = v
	return nil
}

func (s *Server) release(v *screen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent == v {
		s.agent = nil
	}
}

// attach joins the agent's terminal until the agent or the client ends.
func (s *Server) attach(c *wire.Conn, req *wire.Request) error {
	view := s.current()
	if view == nil || view.command() == nil {
		return wire.Fail(wire.FailNotFound, "cannot attach: no agent is running in this bottle")
	}
	cmd := view.command()
	past, follow := view.join()
	defer view.leave(follow)
	if err := c.Send(wire.KindStarted, nil); err != nil {
		return err
	}
	if err := c.Send(wire.KindStdout, past); err != nil {
		return err
	}
	cmd.resize(req.Rows, req.Cols)
	if cmd.tty != nil {
		_ = s.reaper.signalForeground(cmd.proc, cmd.tty, syscall.SIGWINCH)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		newInput(c, joined(cmd), false).serve()
	}()
	return follower{c, view, follow, gone}.run()
}

// joined is the command as one sees it who joined: without a terminal it is only watched.
func joined(c *command) *command {
	if c.tty != nil {
		return c
	}
	return &command{reaper: c.reaper, proc: c.proc}
}

// follower forwards the agent's output to one who joined.
type follower struct {
	conn   *wire.Conn
	view   *screen
	follow chan []byte
	gone   chan struct{}
}

func (f follower) run() error {
	for {
		select {
		case chunk, ok := <-f.follow:
			if !ok {
				return wire.Fail(wire.FailBusy, "cannot keep up with the agent's output: attach again")
			}
			if err := f.conn.Send(wire.KindStdout, chunk); err != nil {
				return err
			}
		case <-f.gone:
			return nil
		case <-f.view.over:
			return f.last()
		}
	}
}

// last forwards what is left and the exit.
func (f follower) last() error {
	f.view.leave(f.follow)
	for chunk := range f.follow {
		if err := f.conn.Send(wire.KindStdout, chunk); err != nil {
			return err
		}
	}
	return f.conn.SendJSON(wire.KindExit, f.view.exit)
}

func signalNumber(name string) syscall.Signal {
	return unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
}
