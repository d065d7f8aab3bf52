package session

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminal gives the command a terminal of its own.
func (c *command) terminal(rows, cols uint16) (theirs []*os.File, err error) {
	ours, slave, err := openTerminal()
	if err != nil {
		return nil, err
	}
	c.tty, c.stdin, c.out = ours, ours, []*os.File{ours}
	c.resize(rows, cols)
	return []*os.File{slave, slave, slave}, nil
}

// openTerminal opens a pair without the names of devices: the agent may have put others there.
func openTerminal() (ours, slave *os.File, err error) {
	fd, err := unix.Open("/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open a terminal: %w", err)
	}
	ours = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		_ = ours.Close()
		return nil, nil, fmt.Errorf("cannot unlock the terminal: %w", err)
	}
	// Init leads a session; without O_NOCTTY the terminal would become init's.
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno == unix.ENOTTY { // gVisor's kernel knows the other side by its name alone
		peer, errno = otherSide(fd)
	}
	if errno != 0 {
		_ = ours.Close()
		return nil, nil, fmt.Errorf("cannot open the terminal's other side: %w", errno)
	}
	return ours, os.NewFile(peer, "pts"), nil
}

// otherSide opens a terminal by its name in /dev/pts, where nobody can put another.
func otherSide(fd int) (uintptr, syscall.Errno) {
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		fd, err = unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		return uintptr(fd), 0
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = unix.EIO
	}
	return 0, errno
}

// resize tells the terminal, and through it its foreground group, the size of the window.
func (c *command) resize(rows, cols uint16) {
	if c.tty == nil || rows == 0 || cols == 0 {
		return
	}
	_ = control(c.tty, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	if c.reaper.silent && c.proc != nil {
		_ = c.reaper.signalForeground(c.proc, c.tty, syscall.SIGWINCH)
	}
}

// control calls do with f's descriptor. (*os.File).Fd would make it blocking, and then a read of it
// has no deadline any more.
func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	if err := raw.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil {
		return err
	}
	return done
}
