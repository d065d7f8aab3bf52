package egress_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	"golang.org/x/net/proxy"
)

// The replies of RFC 1928 §6.
const (
	socksOK          = 0
	socksDenied      = 2
	socksUnreachable = 4
	socksRefused     = 5
	socksNoCommand   = 7
	socksNoAddress   = 8
)

// socksTarget is a host as a SOCKS5 address: a name, or an address in its own form.
func socksTarget(host string, port uint16) []byte {
	var b []byte
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		b = append([]byte{3, byte(len(host))}, host...)
	case addr.Is4():
		b = append([]byte{1}, addr.AsSlice()...)
	default:
		b = append([]byte{4}, addr.AsSlice()...)
	}
	return binary.BigEndian.AppendUint16(b, port)
}

// socksAsk makes a handshake of raw bytes and returns the reply.
func socksAsk(conn net.Conn, request []byte) (byte, error) {
	if _, err := conn.Write([]byte{5, 1, 0}); err != nil {
		return 0, err
	}
	var method [2]byte
	if _, err := io.ReadFull(conn, method[:]); err != nil {
		return 0, err
	}
	if method != [2]byte{5, 0} {
		return 0, fmt.Errorf("the method is %v", method)
	}
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	var reply [10]byte
	if _, err := io.ReadFull(conn, reply[:]); err != nil {
		return 0, err
	}
	if reply[0] != 5 || reply[2] != 0 || reply[3] != 1 {
		return 0, fmt.Errorf("the reply is %v", reply)
	}
	return reply[1], nil
}

func socksConnect(conn net.Conn, host string, port uint16) (byte, error) {
	return socksAsk(conn, append([]byte{5, 1, 0}, socksTarget(host, port)...))
}

func sendSOCKS(t *testing.T, w *world, a attempt) outcome {
	t.Helper()
	a = a.filled(443)
	conn := w.dial(t, netip.AddrPort{})
	reply, err := socksConnect(conn, strings.Trim(a.connect, "[]"), a.port)
	if err != nil || reply != socksOK {
		return outcome{reply: reply}
	}
	secured, err := w.secure(conn, a.sni)
	if err != nil {
		return outcome{}
	}
	return answer(t, secured, a.raw(a.target))
}

// Each form of a target reaches the verdict of the name that it stands for.
func TestSOCKSReachesWhatARouteAllows(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := usual(t, up)
	for name, host := range map[string]string{"a name (socks5h)": "allowed.example", "a name in capitals": "ALLOWED.example.", "the address of a name (socks5)": synthetic(0).String(), "the same, mapped to IPv6": "::ffff:" + synthetic(0).String()} {
		t.Run(name, func(t *testing.T) {
			conn := w.dial(t, netip.AddrPort{})
			if reply, err := socksConnect(conn, host, 443); err != nil || reply != socksOK {
				t.Fatal(reply, err)
			}
			secured, err := w.secure(conn, "allowed.example")
			if err != nil {
				t.Fatal(err)
			}
			resp, err := exchange(secured, "GET /p HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
			if err != nil || !strings.Contains(text(t, resp), "GET /p auth=Bearer "+token()) {
				t.Error(resp, err)
			}
			awaitEvent(t, w, func(e audit.Event) bool {
				return e.Via == "socks5" && e.Verdict == "allow" && e.Host == "allowed.example"
			})
		})
	}
}

func TestSOCKSRefusesAtOnceWithTheRightReply(t *testing.T) {
	w := usual(t, newUpstream(t, true, true, echo))
	connect := []byte{5, 1, 0}
	for _, c := range []struct {
		name    string
		request []byte
		want    byte
		layer   string
	}{
		{"a denied name", append(connect[:3:3], socksTarget("evil.example", 443)...), socksDenied, policy.LayerEgress},
		{"a denied name's address", append(connect[:3:3], socksTarget(synthetic(2).String(), 443)...), socksDenied, policy.LayerEgress},
		{"a denied port", append(connect[:3:3], socksTarget("allowed.example", 22)...), socksDenied, policy.LayerEgress},
		{"an address of nobody", append(connect[:3:3], socksTarget("203.0.113.9", 443)...), socksDenied, policy.LayerAddress},
		{"a metadata address", append(connect[:3:3], socksTarget("169.254.169.254", 80)...), socksDenied, policy.LayerAddress},
		{"no address", append(connect[:3:3], socksTarget("0.0.0.0", 443)...), socksDenied, policy.LayerAddress},
		{"IPv6 loopback", append(connect[:3:3], socksTarget("::1", 443)...), socksDenied, policy.LayerAddress},
		{"loopback as a decimal number", append(connect[:3:3], socksTarget("2130706433", 443)...), socksDenied, policy.LayerAddress},
		{"NUL in a name", append(connect[:3:3], socksTarget("evil.example\x00.allowed.example", 443)...), socksDenied, policy.LayerProtocol},
		{"an empty name", append(connect[:3:3], 3, 0, 1, 187), socksDenied, policy.LayerProtocol},
		{"port 0", append(connect[:3:3], socksTarget("allowed.example", 0)...), socksDenied, policy.LayerProtocol},
		{"BIND", append([]byte{5, 2, 0}, socksTarget("allowed.example", 443)...), socksNoCommand, policy.LayerProtocol},
		{"UDP ASSOCIATE", append([]byte{5, 3, 0}, socksTarget("0.0.0.0", 53)...), socksNoCommand, policy.LayerProtocol},
		{"an unknown address type", append(connect[:3:3], 2, 1, 2, 3, 4, 1, 187), socksNoAddress, policy.LayerProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(w.records.all())
			reply, err := socksAsk(w.dial(t, netip.AddrPort{}), c.request)
			if err != nil || reply != c.want {
				t.Errorf("reply %d %v, want %d", reply, err, c.want)
			}
			events := w.records.all()[before:]
			if len(events) != 1 || events[0].Via != "socks5" || events[0].Verdict != "deny" || events[0].Layer != c.layer || events[0].Reason == "" {
				t.Errorf("the audit log has %+v, want layer %s", events, c.layer)
			}
		})
	}
}

func TestSOCKSHandshakesThatAreNone(t *testing.T) {
	w := limitedTo(t, newUpstream(t, true, true, echo).address(), egress.Limits{Head: 200e6, FirstByte: 200e6})
	for name, raw := range map[string]string{
		"no method": "\x05\x00", "only methods that are not spoken": "\x05\x01\x01", "half a greeting": "\x05\x03\x00", "SOCKS4": "\x04\x01\x01\xbb\x7f\x00\x00\x01\x00",
		"another version in the request": "\x05\x01\x00\x04\x01\x00\x01\x7f\x00\x00\x01\x01\xbb", "a reserved byte": "\x05\x01\x00\x05\x01\x01\x01\x7f\x00\x00\x01\x01\xbb",
		"half a request": "\x05\x01\x00\x05\x01\x00\x03\xffallowed", "a broken password": "\x05\x01\x02\x02\x01a\x01b", "another version after the greeting": "\x05\x01\x00GET / HTTP/1.1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.records.all())
			conn := w.dial(t, netip.AddrPort{})
			if _, err := io.WriteString(conn, raw); err != nil {
				t.Fatal(err)
			}
			_, err := io.ReadAll(conn)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the connection stays open")
			}
			if events := w.records.all()[before:]; len(events) != 1 || events[0].Layer != policy.LayerProtocol {
				t.Errorf("the audit log has %+v", events)
			}
		})
	}
}

// A client of another's making, with a user name and a password that nobody looks at.
func TestASOCKSClientWorks(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := usual(t, up)
	for _, text := range []string{"socks5://bottle", "socks5://user:word@bottle", "socks5h://user:word@bottle"} {
		address, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		dialer, err := proxy.FromURL(address, throughDoor{w})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := dialer.Dial("tcp", "allowed.example:443")
		if err != nil {
			t.Fatal(err)
		}
		secured, err := w.secure(conn, "allowed.example")
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := exchange(secured, "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n"); err != nil || resp.StatusCode != http.StatusOK {
			t.Error(resp, err)
		}
		_ = conn.Close()
		if _, err := dialer.Dial("tcp", "evil.example:443"); err == nil || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("a refusal reads as %v", err)
		}
	}
}

// throughDoor dials the proxy, whatever it is asked to dial.
type throughDoor struct{ w *world }

func (d throughDoor) Dial(string, string) (net.Conn, error) { return d.w.door.dial(netip.AddrPort{}) }
func (d throughDoor) DialContext(context.Context, string, string) (net.Conn, error) {
	return d.Dial("", "")
}

func TestSOCKSCarriesPlainHTTPAndTheInternalPages(t *testing.T) {
	up := newUpstream(t, false, false, echo)
	w := newWorld(t, setup{names: names{"other.example"}, set: policy.Set{Routes: []policy.Route{{Host: "other.example", ConnectTo: up.address()}}}})
	for _, c := range []struct {
		host, raw, want string
	}{
		{"other.example", "GET /x HTTP/1.1\r\nHost: other.example\r\n\r\n", "GET /x"},
		{"_egress.local", "GET /allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n", `"other.example"`},
		{"198.18.0.1", "GET /healthz HTTP/1.1\r\nHost: _egress.local\r\n\r\n", `"ok"`},
	} {
		conn := w.dial(t, netip.AddrPort{})
		if reply, err := socksConnect(conn, c.host, 80); err != nil || reply != socksOK {
			t.Fatal(c.host, reply, err)
		}
		resp, err := exchange(conn, c.raw)
		if err != nil || !strings.Contains(text(t, resp), c.want) {
			t.Error(c.host, resp, err)
		}
	}
}

// What is sent together with the handshake is not lost, and nothing of it is taken for a reply.
func TestSOCKSClientsThatDoNotWait(t *testing.T) {
	up := newUpstream(t, false, false, echo)
	w := newWorld(t, setup{names: names{"other.example"}, set: policy.Set{Routes: []policy.Route{{Host: "other.example", ConnectTo: up.address()}}}})
	conn := w.dial(t, netip.AddrPort{})
	all := append([]byte{5, 1, 0, 5, 1, 0}, socksTarget("other.example", 80)...)
	if _, err := conn.Write(append(all, "GET /early HTTP/1.1\r\nHost: other.example\r\n\r\n"...)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 12)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || !strings.Contains(text(t, resp), "GET /early") {
		t.Error(resp, err)
	}
}
