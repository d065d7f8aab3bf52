package sidecar

import (
	"net"
	"net/netip"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// destination says where a redirected connection meant to go. ok is false for the proxy's own
// port, and for a connection that was not redirected: the bottle found the listener on loopback
// and can only speak to it as a proxy.
func destination(conn net.Conn) (dst netip.AddrPort, ok bool) {
	dst, ok = egress.OriginalDestination(conn)
	if !ok || isProxy(dst) {
		return netip.AddrPort{}, false
	}
	return dst, true
}

func isProxy(dst netip.AddrPort) bool {
	addr := dst.Addr().Unmap().String()
	return dst.Port() == plan.ProxyPort && (addr == plan.SidecarIPv4 || addr == plan.SidecarIPv6)
}
