package manifest

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// metadata lists addresses for a warning about a range that covers one; policy refuses them, and
// their other forms, whatever a manifest says.
func metadata() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("169.254.169.254"),
		netip.MustParseAddr("fd00:ec2::254"),
		netip.MustParseAddr("100.100.100.200"),
		netip.MustParseAddr("168.63.129.16"),
		netip.MustParseAddr("192.0.0.192"),
	}
}

const isMetadata = "is a cloud metadata address, which is never reachable"

// routeHost returns the canonical form of a route's host, or what is wrong with it.
func routeHost(written string) (host, wrong, hint string) {
	switch {
	case strings.Contains(written, "://"):
		return "", "is a URL, not a host", "write only the name between // and the next /"
	case strings.ContainsAny(written, "/?#@"):
		return "", "is not a host name", "write a path under matches"
	case written == "*":
		return "", "would allow every host", "name the hosts"
	}
	base, wild := strings.CutPrefix(written, "*.")
	if strings.Contains(base, "*") {
		return "", "can have a * only as its first label", `write "*.example.org" for every name below example.org`
	}
	host, wrong, hint = plainHost(base)
	if wrong != "" || !wild {
		return host, wrong, hint
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return "", "is a * before an address", "write the address, or names"
	}
	if !strings.Contains(host, ".") {
		return "", "would allow a whole top-level domain", "name the domain: *.example." + host
	}
	return "*." + host, "", ""
}

// plainHost returns the canonical form of a name or an address. An address must stand as what it
// is: a person who reads 0x7f.1 in a manifest should not have to work it out.
func plainHost(written string) (host, wrong, hint string) {
	if name, port, err := net.SplitHostPort(written); err == nil && validPort(port) {
		return "", "holds a port", "write host: " + printable(name) + " and ports: [" + port + "]"
	}
	host, err := policy.CanonicalHost(written)
	if err != nil {
		return "", "is not a host: " + rootCause(err), ""
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host, "", ""
	}
	same, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(written, "["), "]"))
	switch {
	case policy.MetadataAddress(addr):
		return "", isMetadata, ""
	case err != nil || same != addr:
		return "", "is an odd spelling of an address", "write " + host
	}
	return host, "", ""
}

// rootCause drops what a wrapping error says again of the value.
func rootCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return printable(err.Error())
		}
		err = next
	}
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// dialTarget returns the canonical form of "host:port", or what is wrong with it.
func dialTarget(written string) (target, wrong, hint string) {
	name, port, err := net.SplitHostPort(written)
	if err != nil || !validPort(port) {
		return "", "is not HOST:PORT", "such as 127.0.0.1:8443"
	}
	host, wrong, hint := plainHost(name)
	if wrong != "" {
		return "", wrong, hint
	}
	return net.JoinHostPort(host, port), "", ""
}

// privateRange reads a prefix or a single address. holds is the metadata address inside it.
func privateRange(written string) (prefix netip.Prefix, holds netip.Addr, wrong, hint string) {
	prefix, err := netip.ParsePrefix(written)
	if err != nil {
		addr, err := netip.ParseAddr(written)
		if err != nil || addr.Zone() != "" {
			return prefix, holds, "is not a range of addresses", "such as 10.1.0.0/16"
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Addr().Is4In6() {
		return prefix, holds, "is an IPv4 range in IPv6 clothes", "write it as IPv4"
	}
	prefix = prefix.Masked()
	if prefix.IsSingleIP() && policy.MetadataAddress(prefix.Addr()) {
		return prefix, holds, isMetadata, ""
	}
	for _, m := range metadata() {
		if prefix.Contains(m) {
			return prefix, m, "", ""
		}
	}
	return prefix, holds, "", ""
}
