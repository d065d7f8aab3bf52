package policy_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func TestCanonicalHost(t *testing.T) {
	for raw, want := range map[string]string{
		"API.GitHub.com":        "api.github.com",
		"api.github.com.":       "api.github.com",
		"bücher.example":        "xn--bcher-kva.example",
		"XN--BCHER-KVA.example": "xn--bcher-kva.example",
		"ｅxample。org":           "example.org",
		"127.0.0.1":             "127.0.0.1",
		"2130706433":            "127.0.0.1",
		"0x7f.1":                "127.0.0.1",
		"0177.0.0.1":            "127.0.0.1",
		"0X7F000001":            "127.0.0.1",
		"127.1.":                "127.0.0.1",
		"0":                     "0.0.0.0",
		"[::1]":                 "::1",
		"::ffff:10.0.0.1":       "10.0.0.1",
		"[2001:DB8::0:1]":       "2001:db8::1",
		"１２７.0.0.1":             "127.0.0.1",
	} {
		if got, err := policy.CanonicalHost(raw); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{
		"", ".", "..", "a..b", ".a", "a b", "a\x00b", "evil\x00.allowed.com", "a\r\nb", "a_b.com", "-a.com", "a-.com", "a/b", "a@b", "a%41",
		"fe80::1%eth0", "[::1", "1.2.3.4.5", "256.256.256.256", "1.2.3.4294967296", "08.1.1.1", "0x.1g.0", "a.0x7g.1", "xn--a", "[a]",
		strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 127) + "com", "*.example.org", "\u202eexample.org",
	} {
		if got, err := policy.CanonicalHost(raw); err == nil {
			t.Errorf("%q was taken as %q", raw, got)
		}
	}
}

func TestAControlByteIsCalledOne(t *testing.T) {
	for _, raw := range []string{"a\x00b", "a b", "a\x7f", "[::1]\n"} {
		if _, err := policy.CanonicalHost(raw); err == nil || !strings.Contains(err.Error(), "control byte") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, seed := range []string{"a.example", "0x7f.1", "[::ffff:1.2.3.4]", "bücher.example", "a..b", "１.2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		host, err := policy.CanonicalHost(raw)
		if err != nil {
			if host != "" {
				t.Fatalf("%q: an error and %q", raw, host)
			}
			return
		}
		again, err := policy.CanonicalHost(host)
		if err != nil || again != host {
			t.Fatalf("%q: %q is not canonical: %q, %v", raw, host, again, err)
		}
		for _, c := range []byte(host) {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-.:", rune(c)) {
				t.Fatalf("%q: %q has %q", raw, host, c)
			}
		}
	})
}
