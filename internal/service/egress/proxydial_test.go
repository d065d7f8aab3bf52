package egress_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	"golang.org/x/sys/unix"
)

// companyProxy is a proxy that wants credentials and connects everything to one address.
type companyProxy struct {
	addr string
	mu   sync.Mutex // guards asked
	seen []string
}

func (p *companyProxy) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.seen...)
}

func newCompanyProxy(t *testing.T, secured bool, to string) *companyProxy {
	t.Helper()
	p := &companyProxy{}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+token()))
	authority := outsideCA(t)
	p.addr = rawUpstream(t, func(conn net.Conn) {
		if secured {
			leaf, err := authority.Leaf("proxy.example")
			if err != nil {
				return
			}
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*leaf}})
		}
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen = append(p.seen, req.Method+" "+req.Host)
		p.mu.Unlock()
		if req.Header.Get("Proxy-Authorization") != want {
			_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
			return
		}
		up, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(up, conn); _ = up.Close() }()
		_, _ = io.Copy(conn, up)
	})
	return p
}

func TestACompanysProxyKeepsEveryGuard(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			p := newCompanyProxy(t, scheme == "https", up.address())
			at := netip.MustParseAddrPort(p.addr)
			url := func(password string) string {
				return fmt.Sprintf("%s://user:%s@proxy.example:%d", scheme, password, at.Port())
			}
			w := newWorld(t, setup{
				names:    names{"allowed.example", "evil.example", "db.example", "pass.example", "limited.example"},
				tokens:   tokens{"PROXY": url(token()), "WRONG": url("wr" + token())},
				resolver: hosts{"proxy.example": {at.Addr()}},
				set: policy.Set{UpstreamProxy: "PROXY", Routes: []policy.Route{
					{Host: "allowed.example"}, {Host: "10.0.0.9"}, {Host: "169.254.169.254", AllowPrivate: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
					{Host: "db.example", Protocol: policy.ProtocolTCP, Ports: []uint16{5432}}, {Host: "pass.example", TLS: policy.TLSPassthrough},
					{Host: "limited.example", Matches: []policy.Match{{Paths: []policy.PathMatch{{Type: "prefix", Value: "/ok/"}}}}},
				}},
			})
			w.roots.AppendCertsFromPEM(outsideCA(t).CertificatePEM())
			for _, h2 := range []bool{false, true} {
				if resp := get(t, w.client(t, h2), "https://allowed.example/"); !strings.Contains(text(t, resp), "GET /") {
					t.Fatal(h2, resp.StatusCode)
				}
			}
			if resp := get(t, w.client(t, true), "https://pass.example/"); resp.StatusCode != http.StatusOK || resp.TLS.PeerCertificates[0].Issuer.CommonName != "the world" {
				t.Errorf("passed through: %d", resp.StatusCode)
			}
			if _, err := w.secure(w.dial(t, w.to(t, "db.example", 5432)), "db.example"); err != nil {
				t.Errorf("a tcp route: %v", err)
			}
			before := len(p.asked())
			for _, a := range []attempt{{connect: "evil.example"}, {connect: "10.0.0.9"}, {connect: "169.254.169.254"}, {connect: "limited.example", target: "/no"}, {connect: "allowed.example", host: "evil.example"}, {connect: "allowed.example", port: 22}} {
				for _, way := range ways() {
					got := way.send(t, w, a)
					if got.status != 0 && got.status != 403 && got.status != 421 {
						t.Errorf("%+v by %s: answered %d %s", a, way.name, got.status, got.body)
					}
				}
			}
			if asked := p.asked(); len(asked) != before {
				t.Errorf("the proxy was asked for what is refused: %v", asked[before:])
			}
			for _, asked := range p.asked() {
				if !strings.HasPrefix(asked, "CONNECT ") {
					t.Errorf("the proxy was asked %s", asked)
				}
			}
			wrong := w.server.Rules().Set()
			wrong.UpstreamProxy = "WRONG"
			if err := w.server.SetPolicy(wrong); err != nil {
				t.Fatal(err)
			}
			got := sendTLS(t, w, attempt{connect: "allowed.example"})
			if got.status != 502 || !strings.Contains(got.body, `"cause": "proxy"`) || strings.Contains(got.body, token()) || strings.Contains(fmt.Sprint(w.records.all()), token()) {
				t.Errorf("a wrong password: %d %s", got.status, got.body)
			}
		})
	}
}

// A proxy that connects elsewhere does not stand in for the host: its certificate is checked.
func TestACompanysProxyCannotStandInForAHost(t *testing.T) {
	imposter := newUpstream(t, true, true, echo)
	imposter.TLS.GetCertificate = nil // the library's own certificate, of nobody's authority
	p := newCompanyProxy(t, false, imposter.address())
	w := newWorld(t, setup{
		names: names{"allowed.example"}, tokens: tokens{"PROXY": "http://user:" + token() + "@" + p.addr, "GH": token()},
		set: policy.Set{UpstreamProxy: "PROXY", Routes: []policy.Route{{Host: "allowed.example", Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "GH"}}}},
	})
	if got := sendTLS(t, w, attempt{connect: "allowed.example"}); got.status != 502 || !strings.Contains(got.body, `"cause": "tls"`) {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	if n := len(imposter.requests()); n != 0 {
		t.Errorf("the imposter saw %d requests", n)
	}
}

// A company's authority is trusted for the route that names it, and for no other.
func TestACompanysAuthorityIsOfItsRoute(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := newWorld(t, setup{
		names: names{"inside.example", "outside.example"}, foreign: true,
		set: policy.Set{Routes: []policy.Route{
			{Host: "inside.example", ConnectTo: up.address(), UpstreamCA: string(outsideCA(t).CertificatePEM())},
			{Host: "outside.example", ConnectTo: up.address()},
		}},
	})
	for _, h2 := range []bool{false, true} {
		if resp := get(t, w.client(t, h2), "https://inside.example/"); resp.StatusCode != http.StatusOK {
			t.Errorf("its own route: %d", resp.StatusCode)
		}
		if resp := get(t, w.client(t, h2), "https://outside.example/"); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("another route: %d", resp.StatusCode)
		}
	}
}

// Of several addresses only those that were checked are tried, and one that hangs is not waited
// for (RFC 8305).
func TestAddressesRaceWithinTheCheckedSet(t *testing.T) {
	up := newUpstream(t, false, false, echo)
	at := netip.MustParseAddrPort(up.address())
	refused, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.9:%d", at.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = refused.Close() }()
	hangs := netip.MustParseAddr("127.0.0.5")
	fullBacklog(t, netip.AddrPortFrom(hangs, at.Port()))
	w := newWorld(t, setup{
		names:    names{"many.example"},
		resolver: hosts{"many.example": {netip.MustParseAddr("127.0.0.9"), netip.MustParseAddr("10.0.0.1"), hangs, at.Addr()}},
		set: policy.Set{Routes: []policy.Route{{Host: "many.example", Ports: []uint16{at.Port()}, AllowPrivate: []netip.Prefix{
			netip.PrefixFrom(at.Addr(), 32), netip.PrefixFrom(hangs, 32),
		}}}},
		limits: egress.Limits{Dial: patience},
	})
	began := time.Now()
	got := sendPlain(t, w, attempt{connect: "many.example", port: at.Port()})
	if got.status != 200 || time.Since(began) > 3*time.Second {
		t.Errorf("answered %d %s after %s", got.status, got.body, time.Since(began))
	}
	_ = refused.(*net.TCPListener).SetDeadline(time.Now())
	if conn, err := refused.Accept(); err == nil {
		_ = conn.Close()
		t.Error("an address that was refused was dialled")
	}
}

// fullBacklog listens where nobody accepts and nobody else fits.
func fullBacklog(t *testing.T, at netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		conn, err := net.DialTimeout("tcp", at.String(), 100*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	need.Require(t, need.Native, errors.New("this kernel's backlog is never full"))
}
