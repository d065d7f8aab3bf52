package fence

import (
	"fmt"
	"syscall"
)

// Become makes every thread belong to a user and one group, for good, and to no other group. It
// needs CAP_SETUID and CAP_SETGID, which go with it.
func Become(uid, gid int) error {
	if err := syscall.Setgroups([]int{}); err != nil {
		return fmt.Errorf("cannot leave the groups: %w", err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("cannot become group %d: %w", gid, err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("cannot become user %d: %w", uid, err)
	}
	return nil
}
