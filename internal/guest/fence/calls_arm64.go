package fence

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const auditArch = unix.AUDIT_ARCH_AARCH64

// allowedHere are the calls of the same sort that only this architecture has.
func allowedHere() []uint32 { return []uint32{unix.SYS_FSTATAT, unix.SYS_RENAMEAT} }

func judgedHere() map[uint32][]bpf.Instruction { return nil }

func refusedHere() []uint32 { return []uint32{unix.SYS_KEXEC_FILE_LOAD} }
