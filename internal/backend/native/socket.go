package native

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// pair makes two connected sockets.
func pair(kind int, what string) (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the %s socket: %w", what, err)
	}
	f := os.NewFile(uintptr(fds[0]), what)
	defer f.Close()
	theirs = os.NewFile(uintptr(fds[1]), what)
	c, err := net.FileConn(f)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("cannot make the %s socket: %w", what, err)
	}
	ours, ok := c.(*net.UnixConn)
	if !ok {
		_, _ = c.Close(), theirs.Close()
		return nil, nil, fmt.Errorf("cannot make the %s socket: it is a %T", what, c)
	}
	return ours, theirs, nil
}

// inDir calls do with a short path to a name in a directory: a socket's address holds 107 bytes.
func inDir(dir, name string, do func(path string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", fd, name))
}

// listenIn makes a listening socket in a directory and returns it as a file to hand over.
func listenIn(dir, name string) (f *os.File, err error) {
	_ = os.Remove(filepath.Join(dir, name)) // the run is locked: what is there is left over
	err = inDir(dir, name, func(path string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return err
		}
		defer l.Close()
		l.SetUnlinkOnClose(false)
		if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
			return err
		}
		f, err = l.File()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", filepath.Join(dir, name), err)
	}
	return f, nil
}

func dialIn(dir, name string) (c net.Conn, err error) {
	err = inDir(dir, name, func(path string) error {
		c, err = net.Dial("unix", path) //nolint:noctx // a local socket answers at once
		return err
	})
	return c, err
}
