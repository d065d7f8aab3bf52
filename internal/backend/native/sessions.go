package native

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// dial reaches the guest of a bottle, whoever prepared it.
func dial(h backend.Handle) (net.Conn, error) { return reach(h, guestName) }

// Operate implements backend.Operable.
func (d *Driver) Operate(_ context.Context, h backend.Handle) (net.Conn, error) {
	return reach(h, sidecarName)
}

func reach(h backend.Handle, socket string) (net.Conn, error) {
	run := runOf(h)
	if run == "" {
		return nil, fault.New(fault.NotFound, "cannot find %q: the handle is not of this backend", h.ID)
	}
	c, err := dialIn(run, socket)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, fault.New(fault.NotFound, "cannot reach %q: it is not running", h.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reach %q: %w", h.ID, err)
	}
	return c, nil
}
