// Package netns makes the network of a bottle: loopback, on which every address of the world is
// local, and rules that lead every connection to a listener of the sidecar.
//
// Its one rule: there is no way out to close; the namespace has no device but lo.
package netns

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Up brings lo up and makes all of IPv4 and IPv6 local to it, so that a connection to any address
// stays inside and keeps its destination.
func Up() error {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("cannot open netlink: %w", err)
	}
	defer handle.Close()
	lo, err := handle.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("cannot find lo: %w", err)
	}
	if err := handle.LinkSetUp(lo); err != nil {
		return fmt.Errorf("cannot bring lo up: %w", err)
	}
	for _, all := range []net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	} {
		route := &netlink.Route{
			LinkIndex: lo.Attrs().Index, Dst: &all, Type: unix.RTN_LOCAL,
			Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
		}
		if err := handle.RouteAdd(route); err != nil {
			return fmt.Errorf("cannot make %v local: %w", &all, err)
		}
	}
	return nil
}
