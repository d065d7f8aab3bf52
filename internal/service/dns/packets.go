package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// askDestinations makes the kernel say which address a datagram was sent to: the answer must
// come from there, because a redirected query was meant for another resolver's address.
func askDestinations(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
	if local, ok := conn.LocalAddr().(*net.UDPAddr); ok && local.IP.To4() == nil {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, 1) })
	return errors.Join(err, failed)
}

// servePackets answers one after the other: an answer costs microseconds and waits for nothing,
// so a flood costs one core of the sidecar at most and holds no memory.
func (s *Server) servePackets(ctx context.Context, conn *net.UDPConn) error {
	query := make([]byte, 4096)
	oob := make([]byte, 128)
	for {
		n, oobn, flags, peer, err := conn.ReadMsgUDPAddrPort(query, oob)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the socket was closed because ctx ended
		}
		if errors.Is(err, unix.ECONNREFUSED) { // an answer met a closed port
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read a DNS query on %s: %w", conn.LocalAddr(), err)
		}
		if flags&unix.MSG_TRUNC != 0 {
			continue
		}
		response := s.answer(query[:n], "udp")
		if response == nil {
			continue
		}
		// That one client cannot be reached is its own affair.
		_, _, _ = conn.WriteMsgUDPAddrPort(response, replyFrom(oob[:oobn]), peer)
	}
}

// replyFrom turns the destination of a query into the source of its answer (ip(7), ipv6(7)).
func replyFrom(oob []byte) []byte {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			got := (*unix.Inet4Pktinfo)(unsafe.Pointer(&m.Data[0]))
			return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: got.Addr})
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			got := (*unix.Inet6Pktinfo)(unsafe.Pointer(&m.Data[0]))
			return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: got.Addr})
		}
	}
	return nil
}
