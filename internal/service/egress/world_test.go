package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/ca"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	"go.uber.org/goleak"
)

// TestMain gives the tests the environment of a sidecar, which the HTTP/2 library reads before
// anything here runs.
func TestMain(m *testing.M) {
	if name, value, _ := strings.Cut(plan.SidecarEnv, "="); !strings.Contains(os.Getenv(name), value) {
		if err := os.Setenv(name, strings.Trim(os.Getenv(name)+","+value, ",")); err != nil {
			panic(err)
		}
		panic(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of a test.
const patience = 10 * time.Second

// token is what the test upstream expects; it is put together so that no scanner takes it for one.
func token() string { return strings.Join([]string{"tk", "9f2c", "real"}, "-") }

// doorway is a listener whose connections meant to go wherever the test says.
type doorway struct {
	inner net.Listener
	ready chan net.Conn
	done  chan struct{}
	once  sync.Once
	mu    sync.Mutex // guards dst
	dst   map[net.Conn]netip.AddrPort
}

func newDoorway(t testing.TB) *doorway {
	t.Helper()
	inner, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &doorway{inner: inner, ready: make(chan net.Conn, 1024), done: make(chan struct{}), dst: map[net.Conn]netip.AddrPort{}}
}

func (d *doorway) Accept() (net.Conn, error) {
	select {
	case conn := <-d.ready:
		return conn, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

func (d *doorway) Close() error {
	d.once.Do(func() {
		close(d.done)
		_ = d.inner.Close()
		for {
			select {
			case conn := <-d.ready:
				_ = conn.Close()
			default:
				return
			}
		}
	})
	return nil
}

func (d *doorway) Addr() net.Addr { return d.inner.Addr() }

func (d *doorway) destination(conn net.Conn) (netip.AddrPort, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dst, ok := d.dst[conn]
	delete(d.dst, conn)
	return dst, ok
}

// dial opens a connection that meant to go to dst; the zero value means the proxy itself.
func (d *doorway) dial(dst netip.AddrPort) (net.Conn, error) {
	d.mu.Lock()
	client, err := net.Dial("tcp", d.inner.Addr().String())
	if err != nil {
		d.mu.Unlock()
		return nil, err
	}
	server, err := d.inner.Accept()
	if err != nil {
		d.mu.Unlock()
		return nil, err
	}
	if dst.IsValid() {
		d.dst[server] = dst
	}
	d.mu.Unlock()
	select {
	case d.ready <- server:
		return client, nil
	case <-d.done:
		_ = client.Close()
		return nil, net.ErrClosed
	}
}

// upstream is the world outside, recording what reaches it.
type upstream struct {
	*httptest.Server
	quiet atomic.Bool // records nothing
	mu    sync.Mutex  // guards what follows
	seen  []*http.Request
	open  int           // connections
	ended chan struct{} // closed when the next of them ends
}

func newUpstream(t testing.TB, h2, secured bool, handler http.HandlerFunc) *upstream {
	t.Helper()
	u := &upstream{ended: make(chan struct{})}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !u.quiet.Load() {
			u.mu.Lock()
			u.seen = append(u.seen, r.Clone(context.Background()))
			u.mu.Unlock()
		}
		handler(w, r)
	}))
	u.EnableHTTP2 = h2
	u.Config.ConnState = u.follow
	u.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that were given up
	if secured {
		authority := outsideCA(t)
		u.TLS = &tls.Config{
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return authority.Leaf(h.ServerName) },
		}
		u.StartTLS()
	} else {
		u.Start()
	}
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) follow(_ net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch state {
	case http.StateNew:
		u.open++
	case http.StateClosed, http.StateHijacked:
		u.open--
		close(u.ended)
		u.ended = make(chan struct{})
	}
}

func (u *upstream) requests() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]*http.Request(nil), u.seen...)
}

func (u *upstream) address() string { return u.Listener.Addr().String() }

// worldCA signs the certificates of the world outside.
var worldCA = sync.OnceValues(func() (*ca.CA, error) { return ca.New("the world", time.Now) })

func outsideCA(t testing.TB) *ca.CA {
	t.Helper()
	authority, err := worldCA()
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

type records struct {
	instead func(audit.Event) // takes the events where it is set, before the first of them
	mu      sync.Mutex        // guards what follows
	events  []audit.Event
	changed chan struct{} // closed at the next event; nil where nobody waits
}

func (r *records) Record(e audit.Event) {
	if r.instead != nil {
		r.instead(e)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// await returns the first event that is wanted, as soon as there is one.
func (r *records) await(ctx context.Context, wanted func(audit.Event) bool) (audit.Event, bool) {
	for {
		r.mu.Lock()
		for _, e := range r.events {
			if wanted(e) {
				r.mu.Unlock()
				return e, true
			}
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return audit.Event{}, false
		}
	}
}

func (r *records) all() []audit.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]audit.Event(nil), r.events...)
}

type tokens map[string]string

func (m tokens) Token(ref string) (secret.String, error) {
	value, ok := m[ref]
	if !ok {
		return secret.String{}, errors.New("no such token")
	}
	return secret.New(value), nil
}

// names gives each name a synthetic address by its place in the list.
type names []string

func (n names) NameOf(addr netip.Addr) (string, bool) {
	for i, name := range n {
		if addr == synthetic(i) {
			return name, true
		}
	}
	return "", false
}

func synthetic(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 1, byte(i + 1)}) }

func (n names) place(name string) int { return slices.Index(n, name) }

func (n names) address(t testing.TB, name string) netip.Addr {
	t.Helper()
	if i := n.place(name); i >= 0 {
		return synthetic(i)
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		t.Fatalf("no synthetic address for %q", name)
	}
	return addr
}

type hosts map[string][]netip.Addr

func (h hosts) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	addrs, ok := h[host]
	if !ok {
		return nil, fmt.Errorf("lookup of %s that nobody should make", host)
	}
	return addrs, nil
}

// world is a proxy with everything around it.
type world struct {
	server  *egress.Server
	door    *doorway
	names   names
	roots   *x509.CertPool // of the bottle
	records *records
}

type setup struct {
	foreign    bool // the world's authority is not trusted
	set        policy.Set
	limits     egress.Limits
	tokens     tokens
	names      names
	resolver   egress.Resolver
	inspectors egress.Inspectors
	own        []netip.Addr
	ask        ask.Asker
}

func newWorld(t testing.TB, in setup) *world {
	t.Helper()
	authority, err := ca.New("bottle", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{door: newDoorway(t), names: in.names, records: &records{}, roots: x509.NewCertPool()}
	w.roots.AppendCertsFromPEM(authority.CertificatePEM())
	outside := x509.NewCertPool()
	if !in.foreign {
		outside.AppendCertsFromPEM(outsideCA(t).CertificatePEM())
	}
	if in.resolver == nil {
		in.resolver = hosts{}
	}
	if in.own == nil {
		in.own = []netip.Addr{}
	}
	w.server, err = egress.New(egress.Config{Policy: in.set, Limits: in.limits}, egress.Deps{
		Listeners:    []egress.Listener{{Listener: w.door, Destination: w.door.destination}},
		CA:           authority,
		Credentials:  in.tokens,
		Names:        in.names,
		Resolver:     in.resolver,
		Inspectors:   in.inspectors,
		Audit:        w.records,
		Roots:        outside,
		OwnAddresses: in.own,
		Ask:          in.ask,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() { done <- w.server.Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the server does not end")
		}
	})
	return w
}

// to is where a connection to a name at a port meant to go.
func (w *world) to(t testing.TB, name string, port uint16) netip.AddrPort {
	t.Helper()
	return netip.AddrPortFrom(w.names.address(t, name), port)
}

func (w *world) dial(t testing.TB, dst netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := w.door.dial(dst)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// client is an agent's HTTP client; every connection goes where the request's host resolves.
func (w *world) client(t testing.TB, h2 bool) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: w.roots}
	dial := func(_ context.Context, _, addr string) (net.Conn, error) {
		host, portText, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		var port uint16
		if _, err := fmt.Sscan(portText, &port); err != nil {
			return nil, err
		}
		return w.door.dial(netip.AddrPortFrom(w.names.address(t, host), port))
	}
	transport := &http.Transport{TLSClientConfig: config, DialContext: dial, ForceAttemptHTTP2: h2, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// secure makes the agent's handshake.
func (w *world) secure(conn net.Conn, sni string, protocols ...string) (*tls.Conn, error) {
	config := &tls.Config{RootCAs: w.roots, ServerName: sni, NextProtos: protocols}
	if sni == "" {
		config.InsecureSkipVerify = true
	}
	secured := tls.Client(conn, config)
	return secured, secured.Handshake()
}

// exchange writes raw bytes and reads one response.
func exchange(conn net.Conn, raw string) (*http.Response, error) {
	if _, err := io.WriteString(conn, raw); err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(raw, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil || method == "CONNECT" && resp.StatusCode == http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp, nil
}

func text(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func get(t testing.TB, c *http.Client, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// usual is a world with allowed.example at an upstream.
func usual(t testing.TB, up *upstream) *world {
	t.Helper()
	return newWorld(t, setup{
		names: names{"allowed.example", "other.example", "evil.example"},
		set: policy.Set{Routes: []policy.Route{
			{Host: "allowed.example", ConnectTo: up.address(), Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "GH"}},
			{Host: "other.example", ConnectTo: up.address()},
		}},
		tokens: tokens{"GH": token()},
	})
}
