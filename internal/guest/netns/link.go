package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// LinkName is the device that a kernel with a network stack of its own takes over: the one end of
// a pair whose other end is with the sidecar's listeners.
const LinkName = "bottle0"

// farName is the other end of the pair, in a namespace of its own.
const farName = "sidecar0"

// The ends' addresses. The first two are those of a tunnel's two ends (RFC 6333, section 5.7),
// which nobody else has; the others are of our own part of fc00::/7.
func near4() netip.Prefix { return netip.MustParsePrefix("192.0.0.2/31") }
func far4() netip.Prefix  { return netip.MustParsePrefix("192.0.0.3/31") }
func near6() netip.Prefix { return netip.MustParsePrefix("fdb0:771e:0:1::2/127") }
func far6() netip.Prefix  { return netip.MustParsePrefix("fdb0:771e:0:1::3/127") }

// Neighbour discovery is ICMPv6 of the types 133 to 136, without which there is no link.
const (
	neighbourFirst = 133
	neighbourLast  = 136
)

// Link is Up, Listen and Redirect for a kernel that has a network stack of its own and no
// netfilter. It makes a pair of devices: the near end stays in this namespace, as its only way to
// anywhere; the far end is in a new one, where nothing but rules and the listeners is. That
// namespace lasts as long as its listeners are open somewhere. It needs CAP_NET_ADMIN and
// CAP_SYS_ADMIN.
func Link() (Listeners, error) {
	type made struct {
		listeners Listeners
		err       error
	}
	done := make(chan made)
	onThread(func() {
		ls, err := link()
		done <- made{ls, err}
	})
	m := <-done
	return m.listeners, m.err
}

// onThread runs something that changes its thread, on one that ends with it. It is never the first
// one: whose namespaces a process has, for those who join them, is what its first thread has.
func onThread(do func()) {
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if unix.Gettid() != unix.Getpid() {
			do()
			return
		}
		defer runtime.UnlockOSThread() // the first one does not
		next := make(chan struct{})
		onThread(func() {
			defer close(next)
			do()
		})
		<-next // while the first thread is held here, the next is another
	}()
}

func link() (Listeners, error) {
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("cannot name this network namespace: %w", err)
	}
	defer here.Close()
	near, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("cannot open netlink: %w", err)
	}
	defer near.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("cannot make a network namespace: %w", err)
	}
	far, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("cannot open netlink: %w", err)
	}
	defer far.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = farName
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: LinkName, PeerNamespace: netlink.NsFd(int(here.Fd()))}
	if err := far.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("cannot make a pair of devices: %w", err)
	}
	// The rules come before the link is up: there is no moment without them.
	ends := []struct {
		handle *netlink.Handle
		name   string
		own    [2]netip.Prefix
		via    []netip.Prefix
	}{
		{far, farName, [2]netip.Prefix{far4(), far6()}, nil},
		{near, LinkName, [2]netip.Prefix{near4(), near6()}, []netip.Prefix{far4(), far6()}},
	}
	if err := address(ends[0].handle, ends[0].name, ends[0].own, ends[0].via); err != nil {
		return nil, err
	}
	listeners, err := listenAt(far4().Addr(), far6().Addr())
	if err != nil {
		return nil, err
	}
	if err = redirectLink(listeners); err == nil {
		err = address(ends[1].handle, ends[1].name, ends[1].own, ends[1].via)
	}
	if err != nil {
		return nil, errors.Join(err, listeners.Close())
	}
	return listeners, nil
}

// address gives a device its addresses, brings it up, and makes it the way to what via names.
func address(h *netlink.Handle, name string, own [2]netip.Prefix, via []netip.Prefix) error {
	device, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("cannot find %s: %w", name, err)
	}
	for _, p := range own {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD // there is nobody to have it, and no time to ask
		}
		if err := h.AddrAdd(device, a); err != nil {
			return fmt.Errorf("cannot give %s to %s: %w", p, name, err)
		}
	}
	if err := h.LinkSetUp(device); err != nil {
		return fmt.Errorf("cannot bring %s up: %w", name, err)
	}
	for _, p := range via {
		all := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
		if p.Addr().Is6() {
			all = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
		}
		route := &netlink.Route{LinkIndex: device.Attrs().Index, Dst: all, Gw: p.Addr().AsSlice()}
		if err := h.RouteAdd(route); err != nil {
			return fmt.Errorf("cannot lead everything over %s: %w", name, err)
		}
	}
	return nil
}

// redirectLink installs the rules of the far end. Of what comes over the link, TCP and DNS end at
// the listeners, other UDP is rejected at once, and all else is dropped. Nothing is forwarded, and
// nothing begins here.
func redirectLink(ls Listeners) error {
	t, err := newTable()
	if err != nil {
		return err
	}
	nat := t.chain("redirect", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, nil)
	t.redirects(nat, ls)
	drop := nftables.ChainPolicyDrop
	answers := func(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		chain := t.chain(name, nftables.ChainTypeFilter, hook, priority, &drop)
		t.add(chain, redirected(), accept())
		for _, kind := range []byte{neighbourFirst, neighbourFirst + 1, neighbourLast - 1, neighbourLast} {
			t.add(chain, family(unix.NFPROTO_IPV6), protocol(unix.IPPROTO_ICMPV6), icmpType(expr.CmpOpEq, kind), accept())
		}
		return chain
	}
	// Not local and not forwarded, other UDP would come by no later hook than this.
	in := answers("in", nftables.ChainHookPrerouting, nftables.ChainPriorityRef(*nftables.ChainPriorityNATDest+1))
	t.add(in, protocol(unix.IPPROTO_UDP), reject())
	answers("local", nftables.ChainHookInput, nftables.ChainPriorityFilter)
	t.chain("through", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter, &drop)
	out := answers("out", nftables.ChainHookOutput, nftables.ChainPriorityFilter)
	t.add(out, family(unix.NFPROTO_IPV4), protocol(unix.IPPROTO_ICMP), icmpType(expr.CmpOpEq, icmpUnreachable), accept())
	t.add(out, family(unix.NFPROTO_IPV6), protocol(unix.IPPROTO_ICMPV6), icmpType(expr.CmpOpLte, icmp6Max), accept())
	return t.install()
}
