package fence

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// verdict runs the filter on one call. The machine of x/net/bpf reads big-endian, as packets are.
func verdict(t *testing.T, arch, number uint32, args ...uint64) uint32 {
	t.Helper()
	vm, err := bpf.NewVM(Filter())
	if err != nil {
		t.Fatal(err)
	}
	call := make([]byte, 64)
	binary.BigEndian.PutUint32(call[offNumber:], number)
	binary.BigEndian.PutUint32(call[offArch:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(call[offArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(call[offArgs+8*i+4:], uint32(a>>32))
	}
	n, err := vm.Run(call)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func TestFilter(t *testing.T) {
	absent := unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)
	const high = 1 << 32
	for _, c := range []struct {
		name   string
		number uint32
		args   []uint64
		want   uint32
	}{
		{"reading", unix.SYS_READ, nil, allow},
		{"running a program", unix.SYS_EXECVE, nil, allow},
		{"a thread", unix.SYS_CLONE, []uint64{0x3d0f00}, allow},
		{"a user namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER}, eperm},
		{"a network namespace with a high bit", unix.SYS_CLONE, []uint64{high | unix.CLONE_NEWNET}, eperm},
		{"a pipe with a name", unix.SYS_MKNODAT, []uint64{0, 0, unix.S_IFIFO | 0o600}, allow},
		{"a file", unix.SYS_MKNODAT, []uint64{0, 0, unix.S_IFREG | 0o600}, allow},
		{"a socket's file", unix.SYS_MKNODAT, []uint64{0, 0, unix.S_IFSOCK | 0o600}, allow},
		{"a character device", unix.SYS_MKNODAT, []uint64{0, 0, unix.S_IFCHR | 0o600}, eperm},
		{"a block device", unix.SYS_MKNODAT, []uint64{0, 0, unix.S_IFBLK | 0o600}, eperm},
		{"clone3, whose flags no filter reads", unix.SYS_CLONE3, nil, enosys},
		{"unshare", unix.SYS_UNSHARE, nil, eperm},
		{"setns", unix.SYS_SETNS, nil, eperm},
		{"mount", unix.SYS_MOUNT, nil, eperm},
		{"the new mount calls", unix.SYS_MOVE_MOUNT, nil, eperm},
		{"bpf", unix.SYS_BPF, nil, eperm},
		{"keyctl", unix.SYS_KEYCTL, nil, eperm},
		{"userfaultfd", unix.SYS_USERFAULTFD, nil, eperm},
		{"perf", unix.SYS_PERF_EVENT_OPEN, nil, eperm},
		{"io_uring", unix.SYS_IO_URING_SETUP, nil, enosys},
		{"io_uring's entry", unix.SYS_IO_URING_ENTER, nil, enosys},
		{"a module", unix.SYS_FINIT_MODULE, nil, eperm},
		{"another's descriptor", unix.SYS_PIDFD_GETFD, nil, eperm},
		{"a terminal's size", unix.SYS_IOCTL, []uint64{0, unix.TIOCGWINSZ}, allow},
		{"pushing input", unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI}, eperm},
		{"pushing input with a high bit", unix.SYS_IOCTL, []uint64{0, high | unix.TIOCSTI}, eperm},
		{"the console", unix.SYS_IOCTL, []uint64{0, 0x541C}, eperm},
		{"a unix socket", unix.SYS_SOCKET, []uint64{unix.AF_UNIX, 1}, allow},
		{"an internet socket", unix.SYS_SOCKET, []uint64{unix.AF_INET6, 1}, allow},
		{"an echo request", unix.SYS_SOCKET, []uint64{unix.AF_INET, 2, unix.IPPROTO_ICMP}, eperm},
		{"an echo request over IPv6", unix.SYS_SOCKET, []uint64{unix.AF_INET6, 2, unix.IPPROTO_ICMPV6}, eperm},
		{"an internet socket of a named protocol", unix.SYS_SOCKET, []uint64{unix.AF_INET, 1, unix.IPPROTO_TCP}, allow},
		{"routes over netlink", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, 3, unix.NETLINK_ROUTE}, allow},
		{"rules over netlink", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, 3, unix.NETLINK_NETFILTER}, absent},
		{"packets", unix.SYS_SOCKET, []uint64{unix.AF_PACKET, 3}, absent},
		{"the machine's host", unix.SYS_SOCKET, []uint64{unix.AF_VSOCK, 1}, absent},
		{"the kernel's ciphers", unix.SYS_SOCKET, []uint64{unix.AF_ALG, 5}, absent},
		{"a personality", unix.SYS_PERSONALITY, []uint64{0xffffffff}, allow},
		{"an odd personality", unix.SYS_PERSONALITY, []uint64{0x0400000}, eperm},
		{"a call of tomorrow", 9999, nil, enosys},
		{"an x32 call", 0x40000000 | unix.SYS_READ, nil, enosys},
		{"the last number", 0xffffffff, nil, enosys},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := verdict(t, auditArch, c.number, c.args...); got != c.want {
				t.Errorf("verdict %#x, want %#x", got, c.want)
			}
		})
	}
	t.Run("the entry for 32 bits kills", func(t *testing.T) {
		if got := verdict(t, unix.AUDIT_ARCH_I386, unix.SYS_READ); got != kill {
			t.Errorf("verdict %#x", got)
		}
	})
	t.Run("it fits into the kernel", func(t *testing.T) {
		if n := len(Filter()); n > 4096 {
			t.Errorf("%d instructions", n)
		}
	})
}

func TestNoCallIsBothAllowedAndRefused(t *testing.T) {
	seen := make(map[uint32]bool)
	for _, n := range append(append(allowed(), allowedHere()...), append(refused(), refusedHere()...)...) {
		if seen[n] {
			t.Errorf("call %d is listed twice", n)
		}
		seen[n] = true
	}
}
