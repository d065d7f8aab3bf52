package pull

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What one run of git on the agent's objects may take.
const (
	maxMemory = 4 << 30 // bytes of address space
	maxCPU    = 10 * 60 // seconds
)

// bound limits a process that has just been started: what the agent packed may unpack to anything.
func bound(pid int) error {
	for resource, limit := range map[int]uint64{unix.RLIMIT_AS: maxMemory, unix.RLIMIT_CPU: maxCPU} {
		err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: limit, Max: limit}, nil)
		if err != nil && err != unix.ESRCH { // it has ended
			return fmt.Errorf("cannot limit git: %w", err)
		}
	}
	return nil
}
