// Package stdio makes one connection of the two streams that a container engine gives to the first
// process of a container.
//
// Its one rule: the streams belong to whoever took them; nobody else in the process reads or
// writes them, and no program that it starts inherits them.
package stdio

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is standard input and output as one stream. It implements net.Conn.
type Conn struct{ in, out *os.File }

var _ net.Conn = (*Conn)(nil)

// Take moves the process's standard input and output into a Conn and leaves the null device in
// their place.
func Take() (*Conn, error) {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", os.DevNull, err)
	}
	defer unix.Close(null)
	var moved [2]*os.File
	for fd := range moved {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err == nil {
			err = unix.SetNonblock(own, true) // so that Close ends a Read that waits
		}
		if err == nil {
			err = unix.Dup3(null, fd, 0)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot take descriptor %d: %w", fd, err)
		}
		moved[fd] = os.NewFile(uintptr(own), "stdio")
	}
	return &Conn{in: moved[0], out: moved[1]}, nil
}

// Read reads from what was the standard input.
func (c *Conn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write writes to what was the standard output.
func (c *Conn) Write(p []byte) (int, error) { return c.out.Write(p) }

// Close ends both directions.
func (c *Conn) Close() error { return errors.Join(c.in.Close(), c.out.Close()) }

// SetDeadline bounds both directions.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.in.SetDeadline(t), c.out.SetDeadline(t))
}

// SetReadDeadline bounds reading.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.in.SetReadDeadline(t) }

// SetWriteDeadline bounds writing.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }

// LocalAddr names this end.
func (c *Conn) LocalAddr() net.Addr { return address{} }

// RemoteAddr names the other end, which has no address.
func (c *Conn) RemoteAddr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "stdio" }
func (address) String() string  { return "stdio" }
