package policy

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// AddressAllowed is the guard between the verdict and the dial: it returns nil where addr is a
// public address, or one that the route's AllowPrivate names. own are the sidecar's interface
// addresses, which are refused like private ones. Metadata services, and the unspecified and
// broadcast addresses, are refused whatever the route says. Addresses that embed an IPv4
// address (mapped, NAT64, 6to4, Teredo, ISATAP) are judged by that one as well.
func AddressAllowed(addr netip.Addr, route *Route, own []netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	if !addr.IsValid() {
		return fmt.Errorf("cannot dial an address that is none")
	}
	forms := append([]netip.Addr{addr}, embedded(addr)...)
	for _, form := range forms {
		if MetadataAddress(form) {
			return fmt.Errorf("cannot dial %s: it is a cloud metadata service", addr)
		}
		if class := special(form); class == "unspecified" || class == "broadcast" {
			return fmt.Errorf("cannot dial %s: it is the %s address", addr, class)
		}
	}
	for _, form := range forms {
		class := special(form)
		if class == "" && slices.Contains(own, form) {
			class = "own interface"
		}
		if class != "" && !allowedPrivate(form, route) && !allowedPrivate(addr, route) {
			return fmt.Errorf("cannot dial %s: it is a %s address and the route's allow_private does not name it", addr, class)
		}
	}
	return nil
}

// MetadataAddress reports whether addr serves cloud credentials, in any form that embeds it.
func MetadataAddress(addr netip.Addr) bool {
	for _, form := range append([]netip.Addr{addr.WithZone("").Unmap()}, embedded(addr.WithZone("").Unmap())...) {
		switch form {
		case netip.AddrFrom4([4]byte{169, 254, 169, 254}), // AWS, Azure, GCP, most others
			netip.AddrFrom4([4]byte{169, 254, 170, 2}),                             // ECS task credentials
			netip.AddrFrom4([4]byte{169, 254, 170, 23}),                            // EKS pod identity
			netip.AddrFrom4([4]byte{100, 100, 100, 200}),                           // Alibaba
			netip.AddrFrom4([4]byte{168, 63, 129, 16}),                             // Azure wire server
			netip.AddrFrom4([4]byte{192, 0, 0, 192}),                               // Oracle classic
			netip.AddrFrom16([16]byte{0xfd, 0x00, 0x0e, 0xc2, 14: 0x02, 15: 0x54}), // AWS IMDS fd00:ec2::254
			netip.AddrFrom16([16]byte{0xfd, 0x00, 0x0e, 0xc2, 15: 0x23}),           // EKS pod identity fd00:ec2::23
			netip.AddrFrom16([16]byte{0xfd, 0x20, 0x00, 0xce, 14: 0x02, 15: 0x54}): // GCP fd20:ce::254
			return true
		}
	}
	return false
}

func allowedPrivate(addr netip.Addr, route *Route) bool {
	return route != nil && slices.ContainsFunc(route.AllowPrivate, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// special names the class of an address that is not public, or "" (IANA special-purpose address
// registries, RFC 6890).
func special(addr netip.Addr) string {
	if addr.Is4() {
		raw := addr.As4()
		return special4(binary.BigEndian.Uint32(raw[:]))
	}
	return special6(addr)
}

func special4(ip uint32) string {
	ranges := [...]struct {
		base  uint32
		bits  uint8
		class string
	}{
		{0x00000000, 32, "unspecified"}, {0xffffffff, 32, "broadcast"},
		{0x00000000, 8, "this-network"}, {0x0a000000, 8, "private"}, {0x64400000, 10, "carrier-grade NAT"},
		{0x7f000000, 8, "loopback"}, {0xa9fe0000, 16, "link-local"}, {0xac100000, 12, "private"},
		{0xc0000000, 24, "reserved"}, {0xc0000200, 24, "documentation"}, {0xc0586300, 24, "6to4 relay"},
		{0xc0a80000, 16, "private"}, {0xc6120000, 15, "benchmarking"}, {0xc6336400, 24, "documentation"},
		{0xcb007100, 24, "documentation"}, {0xe0000000, 4, "multicast"}, {0xf0000000, 4, "reserved"},
	}
	for _, r := range ranges {
		if ip>>(32-r.bits) == r.base>>(32-r.bits) {
			return r.class
		}
	}
	return ""
}

func special6(addr netip.Addr) string {
	raw := addr.As16()
	switch {
	case addr.IsUnspecified():
		return "unspecified"
	case addr.IsLoopback():
		return "loopback"
	case addr.IsMulticast():
		return "multicast"
	case addr.IsLinkLocalUnicast():
		return "link-local"
	case addr.IsPrivate():
		return "private"
	case raw[0] == 0 && raw[1] == 0x64 && raw[2] == 0xff && raw[3] == 0x9b && raw[4]|raw[5] == 0:
		return "" // NAT64 (RFC 6052): as public as what it embeds
	case raw[0]&0xe0 != 0x20:
		return "reserved"
	case raw[0] == 0x20 && raw[1] == 0x01 && raw[2] == 0x0d && raw[3] == 0xb8, raw[0] == 0x3f && raw[1] == 0xff && raw[2]&0xf0 == 0:
		return "documentation"
	case raw[0] == 0x20 && raw[1] == 0x01 && raw[2] < 2 && raw[2]|raw[3] != 0:
		return "reserved" // 2001::/23 but Teredo
	}
	return ""
}

// embedded returns the IPv4 addresses that an IPv6 address carries traffic to.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	raw := addr.As16()
	four := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(raw[i : i+4])) }
	var found []netip.Addr
	switch {
	case raw[0] == 0x20 && raw[1] == 0x02: // 6to4, RFC 3056
		found = append(found, four(2))
	case raw[0] == 0x20 && raw[1] == 0x01 && raw[2]|raw[3] == 0: // Teredo, RFC 4380
		client := netip.AddrFrom4([4]byte{^raw[12], ^raw[13], ^raw[14], ^raw[15]})
		found = append(found, four(4), client)
	case raw[0] == 0 && raw[1] == 0x64 && raw[2] == 0xff && raw[3] == 0x9b: // NAT64, RFC 6052 and 8215
		found = append(found, four(12))
	case addr.IsUnspecified(), addr.IsLoopback():
	case [12]byte(raw[:12]) == [12]byte{}: // IPv4-compatible, RFC 4291 §2.5.5.1
		found = append(found, four(12))
	}
	if raw[8]&^2 == 0 && raw[9] == 0 && raw[10] == 0x5e && raw[11] == 0xfe { // ISATAP, RFC 5214
		found = append(found, four(12))
	}
	return found
}
