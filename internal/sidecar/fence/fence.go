// Package fence makes the sidecar give up what it does not need, so that a bug in one of its
// parsers does not become the host.
//
// Its one rule: what the kernel has must hold on every thread or the process does not serve; what
// the kernel lacks is said, never passed over.
package fence

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Options say what stays open behind the fence.
type Options struct {
	// ReadFiles and ReadDirs can still be opened for reading; those that do not exist are left out.
	ReadFiles []string
	ReadDirs  []string
	// MaxFileSize is how far the file that is already open may grow, in bytes.
	MaxFileSize uint64
	// What follows is for RaiseWithPrograms only. WriteDirs and WriteFiles can be read and written,
	// programs below ProgramDirs be started.
	WriteDirs, WriteFiles, ProgramDirs []string
}

// Raise gives up, for the rest of the process's life: new privileges, all capabilities, the file
// system, other processes, new programs, listening sockets and large files. Connections to the
// network and the descriptors that are open stay. It returns what holds, in words, and what the
// kernel lacks as "no …".
func Raise(o Options) ([]string, error) {
	if err := limits(o.MaxFileSize); err != nil {
		return nil, err
	}
	if err := allThreads("give up new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return nil, err
	}
	held := []string{"rlimits", "no_new_privs"}
	for _, raise := range []func(Options) (string, error){landlocked, uncapable, filtered} {
		name, err := raise(o)
		if err != nil {
			return nil, err
		}
		held = append(held, name)
	}
	return held, nil
}

// limits bounds the one file we write. Crossing it is an error of write(2), not a signal. The
// number of processes is not limited here: it would count all of the user's, and the filter
// allows none.
func limits(maxFileSize uint64) error {
	signal.Ignore(syscall.SIGXFSZ)
	for _, limit := range []struct {
		what     string
		resource int
		max      uint64
	}{{"core dumps", unix.RLIMIT_CORE, 0}, {"file sizes", unix.RLIMIT_FSIZE, maxFileSize}, {"message queues", unix.RLIMIT_MSGQUEUE, 0}} {
		if err := unix.Setrlimit(limit.resource, &unix.Rlimit{Cur: limit.max, Max: limit.max}); err != nil {
			return fmt.Errorf("cannot limit %s: %w", limit.what, err)
		}
	}
	return nil
}

// uncapable empties the sets of every thread. The bounding set stays, because it only limits what
// execve(2) may give, which no_new_privs forbids already, and emptying it on all threads takes
// forty stops of the world, longer than the rest of the fence together.
func uncapable(Options) (string, error) {
	if err := allThreads("empty the ambient set", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil {
		return "", err
	}
	return "capabilities dropped", dropAll()
}

// allThreads makes a system call on every thread, those of the C library included.
func allThreads(what string, nr, a, b uintptr) error {
	if _, _, errno := psx.Syscall6(nr, a, b, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("cannot %s: %w", what, errno)
	}
	return nil
}

// Enter is for the first moment of the process: it cannot be read or traced by others of its
// user, dumps no core, has an empty environment, and of the descriptors it inherited keeps the
// standard error and the keep ones after it, which no program it starts would get.
func Enter(keep int) error {
	fds, err := inherited() // first: later the list belongs to root
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot forbid reading this process: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot forbid core dumps: %w", err)
	}
	os.Clearenv()
	if err := muteStandard(); err != nil {
		return err
	}
	for _, fd := range fds {
		switch {
		case fd <= 2:
		case fd < 3+keep:
			unix.CloseOnExec(fd)
		default:
			if err := unix.Close(fd); err != nil {
				return fmt.Errorf("cannot close descriptor %d: %w", fd, err)
			}
		}
	}
	return nil
}

// muteStandard takes the caller's input and output away; what is wrong still goes to its errors.
func muteStandard() error {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", os.DevNull, err)
	}
	defer unix.Close(null)
	for fd := range 2 {
		if err := unix.Dup3(null, fd, 0); err != nil {
			return fmt.Errorf("cannot mute descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// inherited lists the descriptors that came through exec: those that are not close-on-exec. All
// that the runtime opens for itself is, and must stay.
func inherited() ([]int, error) {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("cannot list the inherited descriptors: %w", err)
	}
	var fds []int
	for _, entry := range dir {
		var fd int
		if _, err := fmt.Sscan(entry.Name(), &fd); err != nil {
			return nil, fmt.Errorf("cannot list the inherited descriptors: %w", err)
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}
