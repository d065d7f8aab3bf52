package policy_test

import (
	"net/netip"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func TestOnlyPublicAddressesAreDialled(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("8.8.4.4")}
	for addr, allowed := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true, "64:ff9b::808:808": true, "::ffff:8.8.8.8": true, "2002:808:808::1": true,
		"8.8.4.4": false, "::ffff:8.8.4.4": false, "64:ff9b::808:404": false,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.127.255.255": false, "127.0.0.1": false, "127.9.9.9": false,
		"169.254.1.1": false, "172.16.0.1": false, "172.31.255.255": false, "172.32.0.1": true, "192.0.0.1": false, "192.0.2.1": false, "192.88.99.1": false,
		"192.168.1.1": false, "198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::127.0.0.1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fdb0:771e::1": false, "ff02::1": false,
		"fec0::1": false, "2001:db8::1": false, "3fff::1": false, "100::1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::808:808": false, "2002:7f00:1::": false, "2002:a00:1::1": false,
		"2001:0:0a00:0001::f5ff:fffe": false, "2001:0:808:808:0:0:f5ff:fffe": false, "2606:4700::5efe:10.0.0.1": false, "2001:10::1": false,
	} {
		err := policy.AddressAllowed(netip.MustParseAddr(addr), &policy.Route{Host: "a.example"}, own)
		if (err == nil) != allowed {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if policy.AddressAllowed(netip.Addr{}, &policy.Route{}, nil) == nil {
		t.Error("no address is allowed")
	}
}

func TestMetadataIsNeverDialled(t *testing.T) {
	everything := &policy.Route{Host: "a.example", AllowPrivate: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	for _, addr := range []string{
		"169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
		"2002:a9fe:a9fe::1", "::a9fe:a9fe", "64:ff9b::6464:64c8", "64:ff9b:1::a83f:8110", "2001:0:a9fe:a9fe::1", "0.0.0.0", "::", "255.255.255.255",
	} {
		if policy.AddressAllowed(netip.MustParseAddr(addr), everything, nil) == nil {
			t.Errorf("%s is allowed", addr)
		}
	}
	for _, addr := range []string{"10.0.0.1", "127.0.0.1", "::1", "fd00::1"} {
		if err := policy.AddressAllowed(netip.MustParseAddr(addr), everything, nil); err != nil {
			t.Error(err)
		}
	}
}
