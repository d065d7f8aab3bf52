package fence

import (
	"fmt"
	"maps"
	"slices"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data; see seccomp(2). Arguments are two little-endian halves.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

const (
	allow  = unix.SECCOMP_RET_ALLOW
	eperm  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	kill   = unix.SECCOMP_RET_KILL_PROCESS
)

// namespaces are the flags of clone(2) that make one.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// device is the bit in a mode that only the two kinds of devices, among what mknod(2) makes, have.
// Linux asks for a capability as well; gVisor does not.
const device = unix.S_IFCHR

// Seccomp installs the allowlist on every thread. no_new_privs must be set.
func Seccomp() error {
	raw, err := bpf.Assemble(Filter())
	if err != nil {
		return fmt.Errorf("cannot assemble the system call filter: %w", err)
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	head := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&head)))
	if errno != 0 {
		return fmt.Errorf("cannot install the system call filter: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("cannot install the system call filter on thread %d", thread)
	}
	return nil
}

// Filter is the program: another architecture's entry kills, x32 does not exist, a dangerous call
// is not permitted, an unknown one does not exist, so that programs fall back to older ones.
func Filter() []bpf.Instruction {
	tree := search(segments())
	head := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: kill},
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
	}
	return append(head, tree...)
}

// segment is a run of numbers, up to the next segment's first, with one outcome.
type segment struct {
	first   uint32
	outcome []bpf.Instruction
}

func segments() []segment {
	outcomes := map[uint32][]bpf.Instruction{
		unix.SYS_CLONE:       noneOf(0, namespaces),
		unix.SYS_IOCTL:       ioctl(),
		unix.SYS_MKNODAT:     noneOf(2, device),
		unix.SYS_SOCKET:      socket(),
		unix.SYS_PERSONALITY: oneOf(0, eperm, 0, 0x8, 0x20000, 0x20008, 0xffffffff),
	}
	maps.Copy(outcomes, judgedHere())
	for _, n := range slices.Concat(allowed(), allowedHere()) {
		outcomes[n] = ret(allow)
	}
	for _, n := range slices.Concat(refused(), refusedHere()) {
		outcomes[n] = ret(eperm)
	}
	numbers := make([]uint32, 0, len(outcomes))
	for n := range outcomes {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	list := []segment{{0, ret(enosys)}}
	for _, n := range numbers {
		if last := &list[len(list)-1]; last.first == n {
			last.outcome = outcomes[n]
		} else {
			list = append(list, segment{n, outcomes[n]})
		}
		list = append(list, segment{n + 1, ret(enosys)})
	}
	return merge(list)
}

// merge joins neighbours that plainly return the same.
func merge(list []segment) []segment {
	out := list[:1]
	for _, s := range list[1:] {
		if last := out[len(out)-1]; len(last.outcome) == 1 && len(s.outcome) == 1 && last.outcome[0] == s.outcome[0] {
			continue
		}
		out = append(out, s)
	}
	return out
}

// search is a binary search over the segments; x32 numbers lie behind the last one.
func search(list []segment) []bpf.Instruction {
	if len(list) == 1 {
		return list[0].outcome
	}
	mid := len(list) / 2
	left, right := search(list[:mid]), search(list[mid:])
	var code []bpf.Instruction
	if len(left) <= 255 {
		code = []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: list[mid].first, SkipTrue: uint8(len(left))}}
	} else {
		code = []bpf.Instruction{
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: list[mid].first, SkipFalse: 1},
			bpf.Jump{Skip: uint32(len(left))},
		}
	}
	return append(append(code, left...), right...)
}

func ret(v uint32) []bpf.Instruction { return []bpf.Instruction{bpf.RetConstant{Val: v}} }

func low(arg int) bpf.Instruction {
	return bpf.LoadAbsolute{Off: uint32(offArgs + 8*arg), Size: 4}
}

// noneOf allows a call whose argument has none of the bits. Flags are read as 32 bits, as
// the kernel's clone does for all that it knows.
func noneOf(arg int, bits uint32) []bpf.Instruction {
	return []bpf.Instruction{
		low(arg),
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: bits, SkipFalse: 1},
		bpf.RetConstant{Val: eperm},
		bpf.RetConstant{Val: allow},
	}
}

// oneOf allows a call whose argument, an int to the kernel, is among the values.
func oneOf(arg int, otherwise uint32, values ...uint32) []bpf.Instruction {
	code := []bpf.Instruction{low(arg)}
	for i, v := range values {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(values) - i)})
	}
	return append(code, bpf.RetConstant{Val: otherwise}, bpf.RetConstant{Val: allow})
}

// ioctl refuses what pushes input into a terminal or reaches its console. Only the low 32 bits
// count: the kernel reads no more, and a filter that reads more is walked around.
func ioctl() []bpf.Instruction {
	const tioclinux = 0x541C
	return []bpf.Instruction{
		low(1),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.TIOCSTI, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: tioclinux, SkipTrue: 1},
		bpf.RetConstant{Val: allow},
		bpf.RetConstant{Val: eperm},
	}
}

// socket allows unix and internet sockets, but those for echo requests, which Linux gives to no
// group here and gVisor to everybody, and of netlink what getifaddrs(3) needs.
func socket() []bpf.Instruction {
	const absent = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)
	return []bpf.Instruction{
		low(0),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_UNIX, SkipTrue: 10},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET6, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_NETLINK, SkipFalse: 2},
		low(2),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.NETLINK_ROUTE, SkipTrue: 5},
		bpf.RetConstant{Val: absent},
		low(2),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ICMP, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ICMPV6, SkipFalse: 1},
		bpf.RetConstant{Val: eperm},
		bpf.RetConstant{Val: allow},
	}
}
