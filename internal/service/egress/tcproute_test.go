package egress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// greeter is a database that speaks first, and then echoes until the client has ended.
func greeter(conn net.Conn) {
	_, _ = io.WriteString(conn, "hello, speak\n")
	_, _ = io.Copy(conn, conn)
	_ = conn.(*net.TCPConn).CloseWrite()
}

// tcpWays open a connection for host:port by each way in that carries tcp routes.
func tcpWays() map[string]func(t *testing.T, w *world, host string, port uint16) (net.Conn, error) {
	return map[string]func(*testing.T, *world, string, uint16) (net.Conn, error){
		"transparent": func(t *testing.T, w *world, host string, port uint16) (net.Conn, error) {
			t.Helper()
			return w.dial(t, w.to(t, host, port)), nil
		},
		"CONNECT": func(t *testing.T, w *world, host string, port uint16) (net.Conn, error) {
			t.Helper()
			conn := w.dial(t, netip.AddrPort{})
			_, _ = fmt.Fprintf(conn, "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n\r\n", host, port, host, port)
			br := bufio.NewReader(conn)
			resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("answered %d %s", resp.StatusCode, text(t, resp))
			}
			return &buffered{conn, br}, err
		},
		"SOCKS5": func(t *testing.T, w *world, host string, port uint16) (net.Conn, error) {
			t.Helper()
			conn := w.dial(t, netip.AddrPort{})
			reply, err := socksConnect(conn, host, port)
			if err == nil && reply != socksOK {
				err = fmt.Errorf("reply %d", reply)
			}
			return conn, err
		},
		"SOCKS5 by address": func(t *testing.T, w *world, host string, port uint16) (net.Conn, error) {
			t.Helper()
			conn := w.dial(t, netip.AddrPort{})
			reply, err := socksConnect(conn, w.names.address(t, host).String(), port)
			if err == nil && reply != socksOK {
				err = fmt.Errorf("reply %d", reply)
			}
			return conn, err
		},
	}
}

type buffered struct {
	net.Conn
	br *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.br.Read(p) }
func (b *buffered) CloseWrite() error          { return b.Conn.(*net.TCPConn).CloseWrite() }

// database is a world with db.example:5432 at addr.
func database(t *testing.T, addr string, limits egress.Limits) *world {
	t.Helper()
	return newWorld(t, setup{
		names: names{"db.example", "evil.example", "inside.example", "meta.example", "allowed.example"},
		set: policy.Set{Routes: []policy.Route{
			{Host: "db.example", Protocol: policy.ProtocolTCP, Ports: []uint16{5432}, ConnectTo: addr},
			{Host: "inside.example", Protocol: policy.ProtocolTCP, Ports: []uint16{5432}},
			{Host: "meta.example", Protocol: policy.ProtocolTCP, Ports: []uint16{5432}, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16")}},
			{Host: "allowed.example", Ports: []uint16{443}},
		}},
		resolver: hosts{"inside.example": {netip.MustParseAddr("10.0.0.1")}, "meta.example": {netip.MustParseAddr("169.254.169.254")}},
		limits:   limits,
	})
}

// Who reads until the end must not take a connection that broke for one that ended.
func TestATunnelThatIsCutIsSeenToBeCut(t *testing.T) {
	for name, open := range tcpWays() {
		t.Run(name+", by the upstream", func(t *testing.T) {
			w := database(t, rawUpstream(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, "half of")
				_, _ = io.ReadFull(conn, make([]byte, 1))
				_ = conn.(*net.TCPConn).SetLinger(0)
			}), egress.Limits{})
			conn, err := open(t, w, "db.example", 5432)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, make([]byte, 7)); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "?")
			if more, err := io.ReadAll(conn); err == nil {
				t.Errorf("it ended well after %q", more)
			}
		})
		t.Run(name+", by the agent", func(t *testing.T) {
			saw := make(chan error, 1)
			w := database(t, rawUpstream(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, "?")
				_, err := io.ReadAll(conn)
				saw <- err
			}), egress.Limits{})
			conn, err := open(t, w, "db.example", 5432)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "half of")
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			cut := conn
			if b, ok := conn.(*buffered); ok {
				cut = b.Conn
			}
			_ = cut.(*net.TCPConn).SetLinger(0)
			_ = cut.Close()
			if err := <-saw; err == nil {
				t.Error("the upstream saw an end")
			}
		})
	}
}

func TestATCPRouteCarriesAServerThatSpeaksFirst(t *testing.T) {
	for name, open := range tcpWays() {
		t.Run(name, func(t *testing.T) {
			w := database(t, rawUpstream(t, greeter), egress.Limits{})
			conn, err := open(t, w, "db.example", 5432)
			if err != nil {
				t.Fatal(err)
			}
			first := make([]byte, len("hello, speak\n"))
			if _, err := io.ReadFull(conn, first); err != nil || string(first) != "hello, speak\n" {
				t.Fatal(string(first), err)
			}
			const question = "\x00\x00\x00\x08\x04\xd2\x16\x2f and more"
			if _, err := io.WriteString(conn, question); err != nil {
				t.Fatal(err)
			}
			if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(conn); err != nil || string(got) != question {
				t.Errorf("%q %v", got, err)
			}
			e := awaitEvent(t, w, func(e audit.Event) bool { return e.Proto == "tcp" })
			if e.Verdict != "allow" || e.Host != "db.example" || e.Port != 5432 || e.Rule != "db.example" || e.Sent != int64(len(question)) || e.Received != int64(len(question)+len(first)) {
				t.Errorf("the audit log has %+v", e)
			}
		})
	}
}

func TestATCPRouteKeepsTheGuards(t *testing.T) {
	reached := make(chan struct{}, 16)
	addr := rawUpstream(t, func(net.Conn) { reached <- struct{}{} })
	for name, open := range tcpWays() {
		w := database(t, addr, egress.Limits{FirstByteDeny: 100 * time.Millisecond, FirstByte: 100 * time.Millisecond})
		for _, c := range []struct {
			host  string
			port  uint16
			layer string
		}{
			{"evil.example", 5432, policy.LayerEgress}, {"db.example", 443, policy.LayerEgress}, {"allowed.example", 5432, policy.LayerEgress},
			{"inside.example", 5432, policy.LayerAddress}, {"meta.example", 5432, policy.LayerAddress},
		} {
			t.Run(fmt.Sprintf("%s to %s:%d", name, c.host, c.port), func(t *testing.T) {
				before := len(w.records.all())
				conn, err := open(t, w, c.host, c.port)
				if err == nil && name != "transparent" {
					t.Error("it was let through")
				}
				if got, err := io.ReadAll(conn); len(got) != 0 && err == nil && name == "transparent" {
					t.Errorf("it was answered %q", got)
				}
				e := awaitEvent(t, w, func(e audit.Event) bool { return e.Host == c.host && e.Port == c.port })
				if e.Verdict != "deny" || e.Layer != c.layer || e.Reason == "" || len(w.records.all()) != before+1 {
					t.Errorf("the audit log has %+v", w.records.all()[before:])
				}
			})
		}
	}
	if len(reached) != 0 {
		t.Error("something reached the database")
	}
}

// A request is none of a tcp route's business, also where the port is the route's.
func TestATCPRouteTakesNoRequests(t *testing.T) {
	up := newUpstream(t, false, false, echo)
	w := database(t, up.address(), egress.Limits{})
	resp, err := exchange(w.dial(t, netip.AddrPort{}), "GET http://db.example:5432/ HTTP/1.1\r\nHost: db.example:5432\r\n\r\n")
	if err != nil || resp.StatusCode != http.StatusForbidden || !strings.Contains(text(t, resp), "tcp route") || len(up.requests()) != 0 {
		t.Errorf("%v %v", resp, err)
	}
}

func TestADatabaseThatIsNotThereIsSaidSo(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	w := database(t, addr, egress.Limits{})
	for name, want := range map[string]string{"CONNECT": `"cause": "connect"`, "SOCKS5": "reply 5", "transparent": ""} {
		conn, err := tcpWays()[name](t, w, "db.example", 5432)
		if name == "transparent" {
			if _, err = conn.Read(make([]byte, 1)); err == nil {
				t.Error("transparent: it is open")
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	e := awaitEvent(t, w, func(e audit.Event) bool { return e.Layer == "upstream" })
	if e.Verdict != "allow" || e.Host != "db.example" || e.Reason == "" {
		t.Errorf("the audit log has %+v", e)
	}
}

func TestTunnelsSpendTheBudgets(t *testing.T) {
	for name, limits := range map[string]egress.Limits{"total_sent": {TotalSent: 5000}, "total_received": {TotalReceived: 5000}} {
		w := database(t, rawUpstream(t, greeter), limits)
		conn := w.dial(t, w.to(t, "db.example", 5432))
		go func() { _, _ = io.CopyN(conn, zeros{}, 50_000) }()
		if n, _ := io.Copy(io.Discard, conn); n > 5000 {
			t.Errorf("%s: %d bytes came back", name, n)
		}
		awaitLimit(t, w, name)
		if conn, err := tcpWays()["CONNECT"](t, w, "db.example", 5432); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v %v", name, conn, err)
		}
	}
}

// Silence is of both sides: one may listen for long while the other speaks.
func TestATunnelLivesAsLongAsOneSideSpeaks(t *testing.T) {
	const idle = 200 * time.Millisecond
	addr := rawUpstream(t, func(conn net.Conn) {
		tick := time.NewTicker(idle / 4)
		defer tick.Stop()
		for range 12 {
			<-tick.C
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
		}
		_, _ = conn.Read(make([]byte, 1)) // silent now
	})
	w := database(t, addr, egress.Limits{TunnelIdle: idle})
	began := time.Now()
	got, _ := io.ReadAll(w.dial(t, w.to(t, "db.example", 5432)))
	if len(got) != 12 || time.Since(began) < 3*idle {
		t.Errorf("%d bytes in %s", len(got), time.Since(began))
	}
	if time.Since(began) > patience/2 {
		t.Error("silence does not end it")
	}
}

func TestATunnelEndsWithItsTime(t *testing.T) {
	w := database(t, rawUpstream(t, greeter), egress.Limits{Total: 200 * time.Millisecond})
	conn := w.dial(t, w.to(t, "db.example", 5432))
	if _, err := io.ReadAll(conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error(err)
	}
	awaitLimit(t, w, "total")
}
