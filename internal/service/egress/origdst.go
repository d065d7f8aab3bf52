package egress

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OriginalDestination tells where a connection that nftables redirected meant to go
// (SO_ORIGINAL_DST at SOL_IP, IP6T_SO_ORIGINAL_DST at SOL_IPV6; linux/netfilter_ipv4.h and
// linux/netfilter_ipv6/ip6_tables.h). ok is false where it was not redirected.
func OriginalDestination(conn net.Conn) (dst netip.AddrPort, ok bool) {
	tcp, isTCP := conn.(*net.TCPConn)
	if !isTCP {
		return netip.AddrPort{}, false
	}
	local, isAddr := tcp.LocalAddr().(*net.TCPAddr)
	if !isAddr {
		return netip.AddrPort{}, false
	}
	sys, err := tcp.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, false
	}
	here := local.AddrPort()
	err = sys.Control(func(fd uintptr) {
		if here.Addr().Unmap().Is4() {
			dst, ok = originalIPv4(int(fd))
		} else {
			dst, ok = originalIPv6(int(fd))
		}
	})
	if err != nil || !ok || dst == netip.AddrPortFrom(here.Addr().Unmap().WithZone(""), here.Port()) {
		return netip.AddrPort{}, false
	}
	return dst, true
}

const originalDst = 80 // SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST

func originalIPv4(fd int) (netip.AddrPort, bool) {
	var raw unix.RawSockaddrInet4
	if !sockopt(fd, unix.SOL_IP, unsafe.Pointer(&raw), unsafe.Sizeof(raw)) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4(raw.Addr), hostOrder(raw.Port)), true
}

func originalIPv6(fd int) (netip.AddrPort, bool) {
	var raw unix.RawSockaddrInet6
	if !sockopt(fd, unix.SOL_IPV6, unsafe.Pointer(&raw), unsafe.Sizeof(raw)) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom16(raw.Addr).Unmap(), hostOrder(raw.Port)), true
}

func sockopt(fd, level int, value unsafe.Pointer, size uintptr) bool {
	length := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), originalDst,
		uintptr(value), uintptr(unsafe.Pointer(&length)), 0)
	return errno == 0 && uintptr(length) == size
}

// hostOrder turns a port as the kernel wrote it into a number.
func hostOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}
