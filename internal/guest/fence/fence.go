// Package fence takes away, for good and on every thread, what nobody in a bottle needs.
//
// Its one rule: it only ever removes. What it removed is inherited by every program that the
// calling process starts later, so the agent has exactly what its init has left.
package fence

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// lastCapability is far above what any kernel knows; dropping stops at the first unknown one.
const lastCapability = 63

// DropBounding empties the capability bounding set of every thread. It needs CAP_SETPCAP in the
// user namespace; see capabilities(7).
func DropBounding() error {
	for c := uintptr(0); c <= lastCapability; c++ {
		if _, _, errno := psx.Syscall3(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0); errno != 0 {
			if errno == unix.EINVAL && c > 0 {
				return nil
			}
			return fmt.Errorf("cannot drop capability %d from the bounding set: %w", c, errno)
		}
	}
	return nil
}

// NoNewPrivileges makes set-user-id and file capabilities of programs ineffective on every thread.
func NoNewPrivileges() error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("cannot set no_new_privs: %w", errno)
	}
	return nil
}

// DropCapabilities empties the effective, permitted, inheritable and ambient sets of every thread.
func DropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := psx.Syscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0)
	if errno != 0 && errno != unix.EINVAL { // a kernel that does not know the set, such as gVisor's, has none
		return fmt.Errorf("cannot clear the ambient capabilities: %w", errno)
	}
	_, _, errno = psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	if errno != 0 {
		return fmt.Errorf("cannot drop the capabilities: %w", errno)
	}
	return nil
}

// Undumpable closes /proc/<pid> of this process and ptrace to all but itself.
func Undumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot make init undumpable: %w", err)
	}
	return nil
}

// Limits of every process; 0 leaves a limit as it is.
type Limits struct {
	Processes int
	OpenFiles int
}

// Limit sets the resource limits, hard ones too, and turns core dumps off.
func Limit(l Limits) error {
	set := func(what string, resource, value int) error {
		limit := unix.Rlimit{Cur: uint64(value), Max: uint64(value)}
		var now unix.Rlimit
		if err := unix.Getrlimit(resource, &now); err == nil && now.Max < limit.Max {
			limit.Cur, limit.Max = now.Max, now.Max
		}
		if err := unix.Prlimit(0, resource, &limit, nil); err != nil {
			return fmt.Errorf("cannot limit %s to %d: %w", what, value, err)
		}
		return nil
	}
	if err := set("core dumps", unix.RLIMIT_CORE, 0); err != nil {
		return err
	}
	if l.Processes > 0 {
		if err := set("processes", unix.RLIMIT_NPROC, l.Processes); err != nil {
			return err
		}
	}
	if l.OpenFiles > 0 {
		return set("open files", unix.RLIMIT_NOFILE, l.OpenFiles)
	}
	return nil
}
