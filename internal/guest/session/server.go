// Package session runs commands in the bottle for those who connect from outside it.
//
// Its one rule: a command ends with its session, and its exit is told after all of its output.
package session

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/guest/transfer"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// Server answers sessions.
type Server struct {
	reaper *Reaper
	home   string

	mu    sync.Mutex // guards agent
	agent *screen
}

// NewServer makes a server that starts its processes through r; commands that name no directory
// start in home.
func NewServer(r *Reaper, home string) *Server { return &Server{reaper: r, home: home} }

// Serve answers sessions until l is closed.
func (s *Server) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return fmt.Errorf("cannot accept a session: %w", err)
		}
		go s.session(wire.NewConn(c))
	}
}

func (s *Server) session(c *wire.Conn) {
	defer c.Close()
	if err := s.answer(c); err != nil {
		var failure *wire.Failure
		if !errors.As(err, &failure) {
			failure = wire.Fail(wire.FailInternal, err.Error())
		}
		_ = c.SendJSON(wire.KindFailure, failure)
	}
}

func (s *Server) answer(c *wire.Conn) error {
	kind, payload, err := c.Receive()
	if err != nil {
		return fmt.Errorf("cannot read the request: %w", err)
	}
	if kind != wire.KindRequest {
		return wire.Fail(wire.FailInvalid, "cannot answer: a session begins with a request")
	}
	var req wire.Request
	if err := wire.Decode(payload, &req); err != nil {
		return wire.Fail(wire.FailInvalid, err.Error())
	}
	switch req.Op {
	case wire.OpExec:
		return s.exec(c, &req)
	case wire.OpAttach:
		return s.attach(c, &req)
	case wire.OpSignal:
		return s.signal(c, req.Signal)
	case wire.OpCopyIn:
		if err := transfer.Unpack(req.Path, wire.NewReader(c)); err != nil {
			return err
		}
		return c.Send(wire.KindDataEnd, nil)
	case wire.OpCopyOut:
		if err := transfer.Pack(req.Path, wire.NewWriter(c)); err != nil {
			return err
		}
		return c.Send(wire.KindDataEnd, nil)
	}
	return wire.Fail(wire.FailInvalid, fmt.Sprintf("cannot answer: unknown operation %q", req.Op))
}

func (s *Server) exec(c *wire.Conn, req *wire.Request) error {
	var view *screen
	if req.Agent {
		view = newScreen()
		if err := s.claim(view); err != nil {
			return err
		}
		defer s.release(view)
	}
	cmd, err := start(s.reaper, req, s.home)
	if err != nil {
		return err
	}
	defer cmd.close()
	if view != nil {
		view.begin(cmd)
	}
	if err := c.Send(wire.KindStarted, nil); err != nil {
		cmd.end()
		return err
	}
	go func() {
		newInput(c, cmd, true).serve()
		cmd.end() // a client that vanishes takes its command with it
	}()
	var outputs sync.WaitGroup
	for i, f := range cmd.out {
		outputs.Go(func() {
			cmd.drain(f, func(p []byte) error {
				view.write(p)
				return c.Send(wire.KindStdout+wire.Kind(i), p)
			})
		})
	}
	outputs.Wait()
	<-cmd.proc.done
	exit := cmd.exit()
	view.finish(exit)
	return c.SendJSON(wire.KindExit, exit)
}

func (s *Server) signal(c *wire.Conn, name string) error {
	view := s.current()
	if view == nil || view.command() == nil {
		return wire.Fail(wire.FailNotFound, "cannot signal the agent: none is running")
	}
	cmd := view.command()
	number := signalNumber(name)
	if number == 0 {
		return wire.Fail(wire.FailInvalid, fmt.Sprintf("cannot send %q: no such signal", name))
	}
	if err := s.reaper.signalGroup(cmd.proc, number); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot signal the agent: %w", err)
	}
	return c.Send(wire.KindDataEnd, nil)
}
