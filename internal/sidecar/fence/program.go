package fence

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The offsets of struct seccomp_data (seccomp(2)). Of an argument the lower half is compared:
// everything compared here is an int or a flag of the lower half, on little-endian machines.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

const (
	allow  = unix.SECCOMP_RET_ALLOW
	refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	kill   = unix.SECCOMP_RET_KILL_PROCESS
)

// program allows what the Go runtime, the net package and our descriptors need, and nothing else:
// no new process or program, no tracing, no listening, no file for writing, no code made at run
// time. pid is our own, the only one that may be signalled.
func program(pid int) []bpf.Instruction {
	filter := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: kill}, // a 32-bit entry
		bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
	}
	for _, nr := range append(plainCalls(), plainCallsHere()...) {
		filter = append(filter, when(nr, bpf.RetConstant{Val: allow})...)
	}
	for _, nr := range []uint32{unix.SYS_MMAP, unix.SYS_MPROTECT} {
		filter = append(filter, when(nr, allowUnlessBits(2, unix.PROT_EXEC)...)...)
	}
	filter = append(filter, when(unix.SYS_OPENAT, allowUnlessBits(2, unix.O_ACCMODE|unix.O_CREAT|unix.O_TRUNC)...)...)
	filter = append(filter, when(unix.SYS_CLONE, allowIfBit(0, unix.CLONE_THREAD)...)...)
	filter = append(filter, when(unix.SYS_CLONE3, bpf.RetConstant{Val: absent})...) // its flags cannot be seen: fall back to clone
	filter = append(filter, when(unix.SYS_TGKILL, allowIfOneOf(0, uint32(pid))...)...)
	filter = append(filter, when(unix.SYS_PRCTL, allowIfOneOf(0, unix.PR_SET_VMA)...)...) // the runtime names its memory
	filter = append(filter, when(unix.SYS_SOCKET, allowIfOneOf(0, unix.AF_INET, unix.AF_INET6)...)...)
	return append(filter, bpf.RetConstant{Val: refuse})
}

// when runs the body, which must return, for one system call.
func when(nr uint32, body ...bpf.Instruction) []bpf.Instruction {
	skip := bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: nr, SkipTrue: uint8(len(body))}
	return append([]bpf.Instruction{skip}, body...)
}

func argument(n uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: offsetArgs + 8*n, Size: 4} }

func allowUnlessBits(arg, bits uint32) []bpf.Instruction {
	return []bpf.Instruction{
		argument(arg),
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: bits, SkipTrue: 1},
		bpf.RetConstant{Val: allow},
		bpf.RetConstant{Val: refuse},
	}
}

func allowIfBit(arg, bit uint32) []bpf.Instruction {
	return []bpf.Instruction{
		argument(arg),
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: bit, SkipFalse: 1},
		bpf.RetConstant{Val: allow},
		bpf.RetConstant{Val: refuse},
	}
}

func allowIfOneOf(arg uint32, values ...uint32) []bpf.Instruction {
	body := []bpf.Instruction{argument(arg)}
	for i, value := range values {
		body = append(body, bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: uint8(len(values) - i)})
	}
	return append(body, bpf.RetConstant{Val: refuse}, bpf.RetConstant{Val: allow})
}

// plainCalls are allowed with any argument, on every architecture.
func plainCalls() []uint32 {
	return []uint32{
		// memory and threads of the runtime
		unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_BRK, unix.SYS_MINCORE, unix.SYS_FUTEX,
		unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_MEMBARRIER, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
		unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_RESTART_SYSCALL,
		unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
		unix.SYS_GETRANDOM, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
		// descriptors
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_LSEEK,
		unix.SYS_CLOSE, unix.SYS_FCNTL, unix.SYS_FSTAT, unix.SYS_STATX, unix.SYS_FSTATFS, unix.SYS_GETDENTS64, unix.SYS_FSYNC,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2,
		unix.SYS_PIPE2, unix.SYS_SPLICE, unix.SYS_SENDFILE,
		// sockets: those that exist accept, new ones connect; none listens
		unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_ACCEPT4, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
		unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT, unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG,
	}
}
