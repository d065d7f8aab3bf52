// Package session speaks with the guest inside a bottle: it runs commands there and moves files,
// whatever a backend's way to the guest is.
//
// Its one rule: one session is one connection, and what the guest says is bounded and strict to
// decode before anything is done with it.
package session

import (
	"context"
	"errors"
	"io"
	"net"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// Client implements backend.Sessions and backend.Files over the connections that Dial makes.
type Client struct {
	// Dial reaches the guest of a launched bottle, whoever prepared it; fault.NotFound where
	// none runs.
	Dial func(backend.Handle) (net.Conn, error)
}

var (
	_ backend.Sessions = Client{}
	_ backend.Files    = Client{}
)

// open begins a session.
func (c Client) open(h backend.Handle, req wire.Request) (*wire.Conn, error) {
	raw, err := c.Dial(h)
	if err != nil {
		return nil, err
	}
	conn := wire.NewConn(raw)
	if err := conn.SendJSON(wire.KindRequest, req); err != nil {
		_ = conn.Close()
		return nil, reached(h, err)
	}
	return conn, nil
}

// Exec implements backend.Sessions.
func (c Client) Exec(ctx context.Context, h backend.Handle, cmd backend.Command, stdio backend.Stdio) (backend.Exit, error) {
	if err := ctx.Err(); err != nil {
		return backend.Exit{}, err
	}
	conn, err := c.open(h, wire.Request{
		Op: wire.OpExec, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir, TTY: cmd.TTY,
		Rows: cmd.Size.Rows, Cols: cmd.Size.Cols, Agent: cmd.Agent, NoIn: stdio.In == nil,
	})
	if err != nil {
		return backend.Exit{}, err
	}
	s := newStream(conn, stdio)
	exit, err := s.run(ctx, s.cancel)
	return exit, reached(h, err)
}

// Attach implements backend.Sessions.
func (c Client) Attach(ctx context.Context, h backend.Handle, stdio backend.Stdio) (backend.Exit, error) {
	conn, err := c.open(h, wire.Request{Op: wire.OpAttach})
	if err != nil {
		return backend.Exit{}, err
	}
	s := newStream(conn, stdio)
	s.leaves = true
	exit, err := s.run(ctx, func() { _ = conn.Close() })
	return exit, reached(h, err)
}

// Signal implements backend.Sessions.
func (c Client) Signal(ctx context.Context, h backend.Handle, name string) error {
	conn, err := c.open(h, wire.Request{Op: wire.OpSignal, Signal: name})
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_, err = io.Copy(io.Discard, wire.NewReader(conn))
	return reached(h, err)
}

// reached gives an error of the guest its kind.
func reached(h backend.Handle, err error) error {
	var failure *wire.Failure
	if errors.As(err, &failure) {
		kinds := map[string]fault.Kind{
			wire.FailInvalid: fault.Invalid, wire.FailNotFound: fault.NotFound,
			wire.FailBusy: fault.Busy, wire.FailDenied: fault.Denied,
		}
		return fault.New(kinds[failure.Kind], "%w", failure)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		return fault.New(fault.Unavailable, "cannot go on in %q: the bottle ended", h.ID)
	}
	return err
}
