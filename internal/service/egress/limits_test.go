package egress_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// limitedTo is a world with allowed.example at an upstream, under limits.
func limitedTo(t *testing.T, addr string, limits egress.Limits) *world {
	t.Helper()
	return newWorld(t, setup{
		names:  names{"allowed.example"},
		set:    policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: addr}}},
		limits: limits,
	})
}

// awaitLimit waits for the audit line of a limit.
func awaitLimit(t *testing.T, w *world, name string) audit.Event {
	t.Helper()
	return awaitEvent(t, w, func(e audit.Event) bool { return e.Layer == policy.LayerLimit && e.Rule == "egress.limits."+name })
}

// awaitEvent waits for an audit line.
func awaitEvent(t *testing.T, w *world, wanted func(audit.Event) bool) audit.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e, ok := w.records.await(ctx, wanted)
	if !ok {
		t.Fatalf("no such line in the audit log: %+v", w.records.all())
	}
	return e
}

func TestTooManyConnectionsAreToldSo(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := limitedTo(t, up.address(), egress.Limits{Connections: 1})
	first, err := w.secure(w.dial(t, w.to(t, "allowed.example", 443)), "allowed.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range ways() {
		got := way.send(t, w, attempt{connect: "allowed.example"})
		if way.name == "SOCKS5" && got.reply == 1 {
			continue
		}
		if got.status != 503 || !strings.Contains(got.body, "egress.limits.connections") {
			t.Errorf("%s: answered %d %s", way.name, got.status, got.body)
		}
	}
	awaitLimit(t, w, "connections")
	if resp, err := exchange(first, "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the first connection: %v %v", resp, err)
	}
	if n := len(up.requests()); n != 1 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

func TestTooManyRequestsAreRefused(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		came, more := make(chan struct{}), make(chan struct{})
		up := newUpstream(t, h2, true, func(http.ResponseWriter, *http.Request) {
			came <- struct{}{}
			<-more
		})
		w := limitedTo(t, up.address(), egress.Limits{Requests: 1})
		client := w.client(t, h2)
		done := make(chan error, 1)
		go func() {
			resp, err := client.Get("https://allowed.example/1")
			if err == nil {
				_ = resp.Body.Close()
			}
			done <- err
		}()
		<-came
		resp := get(t, client, "https://allowed.example/2")
		if got := text(t, resp); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got, "egress.limits.requests") {
			t.Errorf("h2=%v: %d %s", h2, resp.StatusCode, got)
		}
		awaitLimit(t, w, "requests")
		close(more)
		if err := <-done; err != nil {
			t.Error(err)
		}
		go func() { <-came }()
		if resp := get(t, client, "https://allowed.example/3"); text(t, resp) != "" || resp.StatusCode != http.StatusOK {
			t.Errorf("h2=%v: the place was not given back: %d", h2, resp.StatusCode)
		}
	}
}

func TestARequestThatTakesTooLongInAllIsEnded(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		up := newUpstream(t, h2, true, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/begun" {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		})
		w := limitedTo(t, up.address(), egress.Limits{Total: 200 * time.Millisecond})
		client := w.client(t, h2)
		resp := get(t, client, "https://allowed.example/")
		if got := text(t, resp); resp.StatusCode != http.StatusGatewayTimeout || !strings.Contains(got, "egress.limits.total") {
			t.Errorf("h2=%v: %d %s", h2, resp.StatusCode, got)
		}
		awaitLimit(t, w, "total")
		resp = get(t, client, "https://allowed.example/begun")
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("h2=%v: an answer that was cut off looks whole", h2)
		}
		_ = resp.Body.Close()
		awaitEvent(t, w, func(e audit.Event) bool { return e.Status == 200 && e.Layer == policy.LayerLimit })
	}
}

// A body that the agent sends byte by byte for ever ends with the request's time.
func TestASlowBodyEndsWithItsTime(t *testing.T) {
	up := newUpstream(t, false, true, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	w := limitedTo(t, up.address(), egress.Limits{Total: 200 * time.Millisecond})
	for _, head := range []string{"Content-Length: 10", "Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		secured, err := w.secure(w.dial(t, w.to(t, "allowed.example", 443)), "allowed.example")
		if err != nil {
			t.Fatal(err)
		}
		resp, err := exchange(secured, "POST / HTTP/1.1\r\nHost: allowed.example\r\n"+head+"\r\n\r\n1")
		if err != nil || resp.StatusCode != http.StatusGatewayTimeout || !strings.Contains(text(t, resp), "egress.limits.total") {
			t.Errorf("%s: %+v %v", head, resp, err)
		}
	}
}

func TestBudgetsOfBytesAreNeverExceeded(t *testing.T) {
	const limit = 100_000
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("sent h2=%v", h2), func(t *testing.T) {
			got := make(chan int64, 8)
			up := newUpstream(t, h2, true, func(_ http.ResponseWriter, r *http.Request) {
				n, _ := io.Copy(io.Discard, r.Body)
				got <- n
			})
			w := limitedTo(t, up.address(), egress.Limits{TotalSent: limit})
			client := w.client(t, h2)
			resp, err := client.Post("https://allowed.example/", "text/plain", bytes.NewReader(make([]byte, 1000)))
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatal(resp, err)
			}
			resp, err = client.Post("https://allowed.example/", "text/plain", io.LimitReader(zeros{}, 10*limit))
			if err == nil {
				if body := text(t, resp); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, "total_sent") {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
			}
			awaitLimit(t, w, "total_sent")
			if n := <-got + <-got; n > limit {
				t.Errorf("%d bytes left", n)
			}
			resp = get(t, client, "https://allowed.example/")
			if body := text(t, resp); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, "total_sent") {
				t.Errorf("afterwards: %d %s", resp.StatusCode, body)
			}
		})
		t.Run(fmt.Sprintf("received h2=%v", h2), func(t *testing.T) {
			up := newUpstream(t, h2, true, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(w, zeros{}, 10*limit) })
			w := limitedTo(t, up.address(), egress.Limits{TotalReceived: limit})
			client := w.client(t, h2)
			resp := get(t, client, "https://allowed.example/")
			n, err := io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err == nil || n > limit {
				t.Errorf("%d bytes came, %v", n, err)
			}
			awaitLimit(t, w, "total_received")
			resp = get(t, client, "https://allowed.example/")
			if body := text(t, resp); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, "total_received") {
				t.Errorf("afterwards: %d %s", resp.StatusCode, body)
			}
		})
	}
}

// Data in heads counts too: a budget that only bodies spend would be none.
func TestHeadsSpendTheBudget(t *testing.T) {
	w := limitedTo(t, newUpstream(t, false, true, echo).address(), egress.Limits{TotalSent: 4000})
	for i := range 5 {
		got := sendTLS(t, w, attempt{connect: "allowed.example", target: "/" + strings.Repeat("a", 1000)})
		if want := map[bool]int{true: 403, false: 200}[i > 2]; got.status != want {
			t.Errorf("request %d: answered %d, want %d", i, got.status, want)
		}
	}
}

func TestNegativeLimitsAreRefused(t *testing.T) {
	_, err := egress.New(egress.Config{Limits: egress.Limits{Total: -1}}, egress.Deps{CA: outsideCA(t), Audit: &records{}, OwnAddresses: []netip.Addr{}})
	if err == nil || !strings.Contains(err.Error(), "total") || errors.Unwrap(err) != nil {
		t.Error(err)
	}
}
