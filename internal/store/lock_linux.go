package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes a lock of the open file, see fcntl(2): unlike one of flock(2) it can be asked about
// without taking it. held is true where somebody else has it.
func lock(f *os.File) (held bool, err error) {
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return true, nil
	}
	return false, err
}

// locked reports whether somebody has the lock.
func locked(f *os.File) bool {
	held := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &held)
	return err == nil && held.Type != unix.F_UNLCK
}
