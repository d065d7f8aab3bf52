package selfcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Addresses that belong to documentation (RFC 5737, RFC 3849) and a name that never exists (RFC
// 6761): whoever answers for them is not the world.
const (
	outside4 = "192.0.2.1:80"
	outside6 = "[2001:db8::1]:80"
	metadata = "169.254.169.254:80"
	outsideU = "192.0.2.1:9999"
	resolver = "198.51.100.53:53"
	canary   = "self-check.invalid."
)

func network() []attempt {
	return []attempt{
		{"an outside address (IPv4)", func() (bool, string) { return refused("tcp4", outside4) }},
		{"an outside address (IPv6)", func() (bool, string) { return refused("tcp6", outside6) }},
		{"the metadata address", func() (bool, string) { return refused("tcp4", metadata) }},
		{"an outside name", unknownName},
		{"a UDP packet", rejectedPacket},
	}
}

// onlyLoopback reads the devices and routes that the kernel has for this namespace.
func onlyLoopback() (bool, string) { return onlyDevices("lo") }

// onlyLink is onlyLoopback where one device leads to the sidecar's listeners, whatever is sent over
// it: that it does is what the other attempts show.
func onlyLink(device string) (bool, string) { return onlyDevices("lo", device) }

func onlyDevices(only ...string) (bool, string) {
	devices, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return false, err.Error()
	}
	for i, line := range strings.Split(strings.TrimSpace(string(devices)), "\n") {
		name, _, _ := strings.Cut(line, ":")
		if i >= 2 && !slices.Contains(only, strings.TrimSpace(name)) { // two lines of headings
			return false, "there is a device " + strings.TrimSpace(name)
		}
	}
	for _, table := range []string{"/proc/self/net/route", "/proc/self/net/ipv6_route"} {
		routes, err := os.ReadFile(table)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err.Error()
		}
		for _, line := range strings.Split(strings.TrimSpace(string(routes)), "\n") {
			first, _, _ := strings.Cut(line, "\t")
			last := line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:]
			if line != "" && !strings.HasPrefix(line, "Iface") && !slices.Contains(only, first) && !slices.Contains(only, strings.TrimSpace(last)) {
				return false, "there is a route: " + line
			}
		}
	}
	return true, "no device and no route but " + strings.Join(only, " and ")
}

// refused connects as itself to an outside address. The connection ends at the sidecar, whose
// verdict must be no: an end, or an answer that is a refusal.
func refused(network, address string) (bool, string) {
	c, err := (&net.Dialer{Timeout: deadline}).DialContext(context.Background(), network, address)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
			return true, "connection refused"
		}
		return false, err.Error()
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		return false, err.Error()
	}
	host, _, _ := net.SplitHostPort(address)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if _, err := fmt.Fprintf(c, "GET /self-check HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host); err != nil {
		return true, "closed by the sidecar"
	}
	line, err := bufio.NewReader(io.LimitReader(c, 4096)).ReadString('\n')
	line = strings.TrimSpace(line)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, "the sidecar gave no verdict"
	}
	if line == "" {
		return true, "closed by the sidecar"
	}
	_, status, _ := strings.Cut(line, " ")
	if strings.HasPrefix(line, "HTTP/") && (strings.HasPrefix(status, "2") || strings.HasPrefix(status, "3")) {
		return false, "it answered " + line
	}
	return true, fmt.Sprintf("refused by the sidecar: %.40q", line)
}

// unknownName asks an outside resolver for a name that is not allowed.
func unknownName() (bool, string) {
	code, err := ask(canary)
	switch {
	case err != nil:
		return false, err.Error()
	case code == dnsmessage.RCodeNameError || code == dnsmessage.RCodeRefused:
		return true, strings.TrimPrefix(code.String(), "RCode")
	}
	return false, "it answered " + code.String()
}

func ask(name string) (dnsmessage.RCode, error) {
	host, err := dnsmessage.NewName(name)
	if err != nil {
		return 0, err
	}
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0x5e1f, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: host, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packet, err := query.Pack()
	if err != nil {
		return 0, err
	}
	reply, err := exchange(resolver, packet)
	if err != nil {
		return 0, err
	}
	var answer dnsmessage.Message
	if err := answer.Unpack(reply); err != nil {
		return 0, fmt.Errorf("cannot read the answer: %w", err)
	}
	if answer.ID != query.ID || !answer.Response {
		return 0, errors.New("the answer belongs to another question")
	}
	return answer.RCode, nil
}

// rejectedPacket sends a packet to an outside address; the error must come back at once.
func rejectedPacket() (bool, string) {
	_, err := exchange(outsideU, []byte("self-check"))
	for _, guard := range []error{syscall.ECONNREFUSED, syscall.EPERM, syscall.EACCES} {
		if errors.Is(err, guard) {
			return true, guard.Error()
		}
	}
	if err == nil {
		return false, "it was answered"
	}
	return false, "it was not rejected: " + err.Error()
}

func exchange(address string, packet []byte) ([]byte, error) {
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	c, err := d.DialContext(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		return nil, err
	}
	if _, err := c.Write(packet); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	return buf[:n], err
}
