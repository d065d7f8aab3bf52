package fence

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// plainCallsHere are the ones of this architecture.
func plainCallsHere() []uint32 { return []uint32{unix.SYS_FSTATAT} }
