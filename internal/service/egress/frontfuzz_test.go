package egress_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// FuzzHTTP1Front sends anything on an agent's connection. Whatever reaches the upstream, as
// another parser reads it there, must satisfy the one match of the route and must have had a
// verdict of its own: no request hides in another.
func FuzzHTTP1Front(f *testing.F) {
	get := "GET /ok/a HTTP/1.1\r\nHost: allowed.example\r\n"
	for _, seed := range []string{
		get + "\r\n", get + "\r\n" + get + "\r\n", get + "Connection: close\r\n\r\nGET /no HTTP/1.1\r\n\r\n",
		"POST /ok/ HTTP/1.1\r\nHost: allowed.example\r\nContent-Length: 5\r\n\r\nhello" + get + "\r\n",
		"POST /ok/ HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + get + "\r\n",
		"POST /ok/ HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET /no HTTP/1.1\r\nHost: allowed.example\r\n\r\n",
		"POST /ok/ HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ne\r\n\r\n", "POST /ok/ HTTP/X.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ne\r\n\r\n",
		"POST /ok/ HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", "POST /ok/ HTTP/1.0\r\nHost: allowed.example\r\nContent-Length: 1\r\n\r\na",
		get + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\na", get + "X: a\r\n b\r\n\r\n", get + "X: a\nGET /no HTTP/1.1\r\n\r\n", get + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET http://allowed.example/ok/ HTTP/1.1\r\nHost: allowed.example\r\n\r\n", "HEAD /ok/ HTTP/1.1\r\nHost: allowed.example\r\n\r\n" + get + "\r\n", "PUT /ok/%2e%2e/no HTTP/1.1\r\nHost: allowed.example\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	up := newUpstream(f, false, false, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	})
	w := newWorld(f, setup{
		names: names{"allowed.example"},
		set: policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: up.address(), Matches: []policy.Match{
			{Paths: []policy.PathMatch{{Type: "prefix", Value: "/ok/"}}, Methods: []string{"GET", "HEAD", "POST"}},
		}}}},
		limits: egress.Limits{FirstByte: time.Second, Head: time.Second, Stall: time.Second, Total: 2 * time.Second},
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bytes.HasPrefix(raw, []byte{22}) || len(raw) == 0 {
			return // TLS has a target of its own
		}
		seen, verdicts := len(up.requests()), len(w.records.all())
		conn, err := w.door.dial(w.to(t, "allowed.example", 80))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(6 * patience)) // fuzzing takes turns with everything else
		go func() {
			_, _ = conn.Write(raw)
			_ = conn.(*net.TCPConn).CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("%q: the connection does not end", raw)
		}
		decided, whole := 0, true
		for _, e := range w.records.all()[verdicts:] {
			if e.Kind == "request" && e.Layer == "" || e.Kind == "request" && e.Host == "allowed.example" {
				decided++
				whole = whole && (e.Status == http.StatusOK || e.Status == http.StatusForbidden) && e.Message == ""
			}
		}
		if !whole { // a request that was given up may arrive when all here is over
			up.drain(t)
		}
		reached := up.requests()[seen:]
		if len(reached) > decided {
			t.Errorf("%q: %d requests reached the upstream on %d verdicts", raw, len(reached), decided)
		}
		for _, r := range reached {
			if !strings.HasPrefix(r.RequestURI, "/ok/") || r.Host != "allowed.example" || !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost}, r.Method) {
				t.Errorf("%q: the upstream saw %s %s of %s", raw, r.Method, r.RequestURI, r.Host)
			}
		}
		up.forget()
		w.records.forget()
	})
}

// drain returns when the upstream has seen all that was sent to it: connections are accepted in
// their order, so one of our own comes after all others, and then each is closed and waited for.
func (u *upstream) drain(t testing.TB) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", u.address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(6 * patience))
	if _, err := exchange(conn, "GET /ok/ HTTP/1.1\r\nHost: allowed.example\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	u.CloseClientConnections()
	deadline := time.After(6 * patience)
	for {
		u.mu.Lock()
		open, ended := u.open, u.ended
		u.mu.Unlock()
		if open == 0 {
			break
		}
		select {
		case <-ended:
		case <-deadline:
			t.Fatalf("%d connections of the upstream do not end", open)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = slices.DeleteFunc(u.seen, func(r *http.Request) bool { return r.RemoteAddr == conn.LocalAddr().String() })
}

func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = nil
}

func (r *records) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}
