package egress_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// rawUpstream hands each connection to serve, and ends with the test.
func rawUpstream(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			go func() { defer func() { _ = conn.Close() }(); serve(conn) }()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// Threat line: desync, seen from the other side: an answer that nobody asked for.
func TestAnUnaskedAnswerIsNotGivenToTheNextRequest(t *testing.T) {
	poison, poisoned := make(chan struct{}), make(chan struct{})
	var conns atomic.Int64
	addr := rawUpstream(t, func(conn net.Conn) {
		first := conns.Add(1) == 1
		br := bufio.NewReader(conn)
		for {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
			if first {
				<-poison
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
				close(poisoned)
			}
		}
	})
	w := newWorld(t, setup{names: names{"allowed.example"}, set: policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: addr}}}})
	client := w.client(t, false)
	if got := text(t, get(t, client, "http://allowed.example/1")); got != "ok" {
		t.Fatal(got)
	}
	close(poison)
	<-poisoned
	if got := text(t, get(t, client, "http://allowed.example/2")); got != "ok" {
		t.Fatalf("the second request was answered %q", got)
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestAReplacedPolicyClosesTheConnectionsOfTheOldOne(t *testing.T) {
	ended := make(chan struct{})
	addr := rawUpstream(t, func(conn net.Conn) {
		br := bufio.NewReader(conn)
		if _, err := http.ReadRequest(br); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		if _, err := br.ReadByte(); err == io.EOF {
			close(ended)
		}
	})
	set := policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: addr}}}
	w := newWorld(t, setup{names: names{"allowed.example"}, set: set})
	if got := text(t, get(t, w.client(t, false), "http://allowed.example/")); got != "ok" {
		t.Fatal(got)
	}
	if err := w.server.SetPolicy(set); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the connection is still open")
	}
}

// Threat line: ECH.
func TestPassthroughRefusesAnEncryptedName(t *testing.T) {
	var reached atomic.Int64
	addr := rawUpstream(t, func(conn net.Conn) {
		reached.Add(1)
		_, _ = conn.Read(make([]byte, 1))
	})
	w := newWorld(t, setup{
		names: names{"pass.example"},
		set:   policy.Set{Routes: []policy.Route{{Host: "pass.example", TLS: policy.TLSPassthrough, ConnectTo: addr}}},
	})
	conn := w.dial(t, w.to(t, "pass.example", 443))
	if _, err := conn.Write(egress.HelloWithECH(t, "pass.example")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn)
	if reached.Load() != 0 {
		t.Error("it was passed through")
	}
}
