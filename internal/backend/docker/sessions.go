package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
)

// dial reaches the guest of a bottle: as its owner over a stream of our own, else through the
// owner's socket.
func (d *Driver) dial(h backend.Handle) (net.Conn, error) {
	if l := d.life(h.ID); l != nil && l.owner != nil {
		c, err := l.owner.outside.Open()
		if err != nil {
			return nil, fault.New(fault.NotFound, "cannot reach %q: it is not running", h.ID)
		}
		return c, nil
	}
	run := runOf(h)
	if run == "" {
		return nil, fault.New(fault.NotFound, "cannot find %q: the handle is not of this backend", h.ID)
	}
	return knock(h, run, guestName)
}

// Operate implements backend.Operable.
func (d *Driver) Operate(_ context.Context, h backend.Handle) (net.Conn, error) {
	if l := d.life(h.ID); l != nil && l.control != nil {
		c, err := l.control.outside.Open()
		if err != nil {
			return nil, fault.New(fault.NotFound, "cannot reach %q: it is not running", h.ID)
		}
		return c, nil
	}
	run := runOf(h)
	if run == "" {
		return nil, fault.New(fault.NotFound, "cannot find %q: the handle is not of this backend", h.ID)
	}
	return knock(h, run, statusName)
}

// knock dials one of the owner's doors.
func knock(h backend.Handle, run, name string) (net.Conn, error) {
	var c net.Conn
	err := inDir(run, name, func(path string) (err error) {
		c, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, fault.New(fault.NotFound, "cannot reach %q: it is not running", h.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reach %q: %w", h.ID, err)
	}
	return c, nil
}

// door lets other processes of this user speak with the guest or the sidecar, each over a stream
// of its own. It is a socket in the run directory, which no container sees.
type door struct {
	l       net.Listener
	outside *mux.Session
	all     sync.WaitGroup
}

func openDoor(run, socket string, outside *mux.Session) (*door, error) {
	name := filepath.Join(run, socket)
	_ = os.Remove(name) // the run is locked: what is there is left over
	d := &door{outside: outside}
	err := inDir(run, socket, func(path string) (err error) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		d.l = l
		return os.Chmod(name, 0o600)
	})
	if err != nil {
		if d.l != nil {
			_ = d.l.Close()
		}
		return nil, fmt.Errorf("cannot listen on %s: %w", name, err)
	}
	d.all.Go(d.serve)
	return d, nil
}

func (d *door) serve() {
	for {
		in, err := d.l.Accept()
		if err != nil {
			return
		}
		out, err := d.outside.Open()
		if err != nil {
			_ = in.Close()
			continue
		}
		d.all.Go(func() { join(in, out) })
	}
}

// join carries bytes both ways until either end is closed; a session has no use for one half.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
		})
	}
	both.Wait()
}

// Close ends it with the sessions through it; the streams of a bottle that ended have ended.
func (d *door) Close() error {
	err := d.l.Close()
	d.all.Wait()
	return err
}
