package fence

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// plainCallsHere are the ones of this architecture. x32 has the same AUDIT_ARCH; its numbers
// have a bit set that is in none of ours, and so are refused.
func plainCallsHere() []uint32 {
	return []uint32{unix.SYS_NEWFSTATAT, unix.SYS_EPOLL_WAIT, unix.SYS_TIME, unix.SYS_ARCH_PRCTL}
}
