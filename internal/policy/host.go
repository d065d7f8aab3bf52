package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// InternalHost names the sidecar's own pages. It is no LDH name on purpose: no route can take it.
const InternalHost = "_egress.local"

var (
	errHostEmpty   = errors.New("it is empty")
	errHostControl = errors.New("it has a control byte, a space or NUL")
	errHostZone    = errors.New("it has a zone identifier")
)

// CanonicalHost returns the one spelling of a host: a lower-case LDH name (RFC 5890 §2.3.1) in
// its A-label form without a trailing dot, or an IP address as netip prints it. IPv4 numbers in
// the forms inet_aton takes (decimal, octal, hexadecimal, fewer than four parts) become the
// address they mean, and an IPv4-mapped IPv6 address becomes IPv4. Brackets around IPv6 are
// taken off. Everything else is an error: control bytes, zones, underscores, empty labels.
func CanonicalHost(raw string) (string, error) {
	host, err := canonicalHost(raw)
	if err != nil {
		return "", fmt.Errorf("cannot use host %s: %w", strconv.QuoteToASCII(clip(raw)), err)
	}
	return host, nil
}

func canonicalHost(raw string) (string, error) {
	if raw == "" {
		return "", errHostEmpty
	}
	if len(raw) > 1024 {
		return "", errors.New("it is too long")
	}
	ascii := true
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] == 0x7f {
			return "", errHostControl
		}
		ascii = ascii && raw[i] < 0x80
	}
	if strings.ContainsAny(raw, ":[]") {
		return canonicalIPv6(raw)
	}
	host := raw
	if !ascii || strings.Contains(strings.ToLower(raw), "xn--") {
		var err error
		if host, err = mapped(strings.TrimSuffix(raw, ".")); err != nil {
			return "", err
		}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if numeric(host) {
		return canonicalIPv4(host)
	}
	return host, checkLDH(host)
}

// mapped brings an internationalised name to its A-labels (UTS 46), and sees to it that these
// map to themselves; bytes that are not UTF-8 do not.
func mapped(raw string) (string, error) {
	host, err := idna.Lookup.ToASCII(raw)
	if err != nil {
		return "", fmt.Errorf("it is no internationalised name: %w", err)
	}
	if again, err := idna.Lookup.ToASCII(host); err != nil || again != host {
		return "", errors.New("its internationalised form is not stable")
	}
	return host, nil
}

func canonicalIPv6(raw string) (string, error) {
	s := raw
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
	}
	if strings.Contains(s, "%") {
		return "", errHostZone
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || !addr.Is6() {
		return "", errors.New("it is no IPv6 address")
	}
	return addr.Unmap().String(), nil
}

// numeric reports whether the last label is a number, which makes the whole an IPv4 address
// (WHATWG URL, "ends in a number").
func numeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return false
	}
	if strings.HasPrefix(last, "0x") {
		for _, c := range last[2:] {
			if !strings.ContainsRune("0123456789abcdef", c) {
				return false
			}
		}
		return true
	}
	for _, c := range last {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// canonicalIPv4 reads what inet_aton reads: one to four numbers, the last one filling the rest.
func canonicalIPv4(host string) (string, error) {
	bad := errors.New("it ends in a number and is no IPv4 address")
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return "", bad
	}
	var value uint64
	for i, part := range parts {
		n, err := parseIPv4Number(part)
		if err != nil {
			return "", bad
		}
		if i < len(parts)-1 {
			if n > 255 {
				return "", bad
			}
			value |= n << (8 * (3 - i))
			continue
		}
		if n >= 1<<(8*(5-len(parts))) {
			return "", bad
		}
		value |= n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}).String(), nil
}

func parseIPv4Number(s string) (uint64, error) {
	switch {
	case s == "0x":
		return 0, nil
	case strings.HasPrefix(s, "0x"):
		return strconv.ParseUint(s[2:], 16, 33)
	case len(s) > 1 && s[0] == '0':
		return strconv.ParseUint(s[1:], 8, 33)
	default:
		return strconv.ParseUint(s, 10, 33)
	}
}

func checkLDH(host string) error {
	if host == "" {
		return errHostEmpty
	}
	if len(host) > 253 {
		return errors.New("it is longer than 253 bytes")
	}
	start := 0
	for i := 0; i <= len(host); i++ {
		if i < len(host) && host[i] != '.' {
			c := host[i]
			if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return errors.New("it has a character other than letters, digits and hyphens")
			}
			continue
		}
		label := host[start:i]
		if label == "" || len(label) > 63 {
			return errors.New("it has an empty label or one longer than 63 bytes")
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("it has a label that begins or ends with a hyphen")
		}
		start = i + 1
	}
	return nil
}

// clip bounds what an error repeats of the agent's bytes.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
