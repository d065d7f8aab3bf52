package sidecar_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// token is a value that must be seen by the upstream only.
func token() string { return strings.Join([]string{"tok", "en", "of", "the", "upstream"}, "_") }

// upstream answers with the Authorization header it saw.
func upstream(t testing.TB) (addr, ca string) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"))
	}))
	t.Cleanup(server.Close)
	ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return server.Listener.Addr().String(), ca
}

// config allows example.com, whose name httptest's certificate has.
func config(addr, ca string) sidecar.Config {
	return sidecar.Config{
		ID: "test-abc12", SecretNames: []string{"UPSTREAM_TOKEN"},
		Egress: policy.Set{Routes: []policy.Route{{
			Host: "example.com", ConnectTo: addr, UpstreamCA: ca,
			Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "UPSTREAM_TOKEN"},
		}}},
	}
}

func secrets() map[string]secret.String {
	return map[string]secret.String{"UPSTREAM_TOKEN": secret.New(token())}
}

// configured is a sidecar that serves.
func configured(t testing.TB) (*rig, sidecar.Ready) {
	t.Helper()
	r := start(t)
	r.hand(t)
	ready, err := r.client.Configure(t.Context(), config(upstream(t)), secrets())
	if err != nil {
		t.Fatalf("%v\n%s", err, r.stderr)
	}
	return r, ready
}

// agent is an HTTP client as it is in the bottle.
func agent(t testing.TB, r *rig, ready sidecar.Ready) *http.Client {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ready.CACertificate)) {
		t.Fatal("the CA certificate cannot be read")
	}
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: r.tcp}),
		TLSClientConfig: &tls.Config{RootCAs: pool},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: deadline}
}

func get(t testing.TB, client *http.Client, address string) (int, string) {
	t.Helper()
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestOneWayOut(t *testing.T) {
	r, ready := configured(t)
	client := agent(t, r, ready)
	if status, body := get(t, client, "https://example.com/x"); status != 200 || body != "Bearer "+token() {
		t.Errorf("the upstream was reached with %d %q", status, body)
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", r.dns)
	}}
	if addrs, err := resolver.LookupHost(t.Context(), "example.com."); err != nil || !slices.Contains(addrs, "198.18.1.0") {
		t.Errorf("the allowed name gives %v, %v", addrs, err)
	}
	if addrs, err := resolver.LookupHost(t.Context(), "evil.example."); err == nil {
		t.Errorf("the denied name gives %v", addrs)
	}
	if _, err := client.Get("https://evil.example/"); err == nil {
		t.Error("a denied host was reached")
	}
	if err := r.client.Note(t.Context(), audit.Event{Kind: "lifecycle", Message: "agent started", Reason: "with " + token()}); err != nil {
		t.Error(err)
	}
	stats, err := r.client.Stats(t.Context())
	// An answer may arrive before its event is counted.
	for until := time.Now().Add(deadline); err == nil && (stats.Allowed < 2 || stats.Denied < 2) && time.Now().Before(until); {
		stats, err = r.client.Stats(t.Context())
	}
	if err != nil || stats.Routes != 1 || stats.Allowed < 2 || stats.Denied < 2 || stats.ResidentBytes == 0 {
		t.Errorf("stats are %+v, %v", stats, err)
	}
	t.Logf("resident: %.1f MiB, fences: %q", float64(stats.ResidentBytes)/(1<<20), ready.Fences)
	if err := r.client.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if code := r.ends(t); code != 0 || r.stderr.Len() != 0 {
		t.Errorf("exit %d, %s", code, r.stderr)
	}
	var lines []string
	for _, e := range r.events(t, audit.Filter{}) {
		lines = append(lines, e.Kind+" "+e.Verdict+" "+e.Host+e.Message)
	}
	for _, want := range []string{"lifecycle  sidecar ready", "request allow example.com", "dns allow example.com", "dns deny evil.example", "lifecycle  agent started"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not in the log: %q", want, lines)
		}
	}
	raw, _ := os.ReadFile(r.auditLog)
	if strings.Contains(string(raw), token()) || !strings.Contains(string(raw), "with ***") {
		t.Error("the value is in the log")
	}
}

func TestRoutesChangeWhileItRuns(t *testing.T) {
	r, ready := configured(t)
	client := agent(t, r, ready)
	live, err := r.client.Routes(t.Context())
	set := live.Egress
	if err != nil || live.Revision != 1 || len(set.Routes) != 1 || set.Routes[0].Host != "example.com" {
		t.Fatalf("routes are %+v, %v", live, err)
	}
	operator := control.NewClient(must[net.Conn](t)(net.Dial("unix", r.status)))
	defer operator.Close()
	bad := set
	bad.Routes = append(slices.Clone(set.Routes), policy.Route{Host: "not a host"})
	unknown := set
	unknown.Routes = append(slices.Clone(set.Routes), policy.Route{Host: "b.example", Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "OTHER"}})
	for what, set := range map[string]policy.Set{"a bad host": bad, "an unknown credential": unknown} {
		if _, err := operator.SetRoutes(t.Context(), control.Live{Revision: 1, Egress: set}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want a fault of kind Invalid", what, err)
		}
	}
	for _, revision := range []uint64{0, 2} {
		if _, err := operator.SetRoutes(t.Context(), control.Live{Revision: revision}); !fault.Is(err, fault.Busy) {
			t.Errorf("at revision %d: got %v, want a fault of kind Busy", revision, err)
		}
	}
	if status, _ := get(t, client, "https://example.com/"); status != 200 {
		t.Errorf("after a refused change: %d", status)
	}
	if now, err := operator.SetRoutes(t.Context(), control.Live{Revision: 1}); err != nil || now.Revision != 2 {
		t.Fatal(now, err)
	}
	if status, _ := get(t, client, "https://example.com/"); status != 403 {
		t.Errorf("after the route is gone: %d", status)
	}
	if err := operator.Note(t.Context(), audit.Event{Kind: "note"}); !fault.Is(err, fault.Unsupported) {
		t.Errorf("an operator may write notes: %v", err)
	}
	if _, err := operator.Configure(t.Context(), sidecar.Config{}, nil); !fault.Is(err, fault.Unsupported) {
		t.Errorf("an operator may configure: %v", err)
	}
	if err := r.client.Note(t.Context(), audit.Event{Kind: "request", Verdict: "allow"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("the owner may write verdicts: %v", err)
	}
	if _, err := r.client.Configure(t.Context(), sidecar.Config{}, nil); !fault.Is(err, fault.Exists) {
		t.Errorf("a second configuration gives %v", err)
	}
	if err := operator.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := r.ends(t); code != 0 {
		t.Errorf("exit %d, %s", code, r.stderr)
	}
}

func TestTheFenceIsUpBeforeItServes(t *testing.T) {
	r, ready := configured(t)
	status := string(must[[]byte](t)(os.ReadFile(fmt.Sprintf("/proc/%d/status", ready.PID))))
	if ready.PID != r.cmd.Process.Pid {
		t.Errorf("it says it is process %d, not %d", ready.PID, r.cmd.Process.Pid)
	}
	for _, want := range []string{"NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "Seccomp:\t2"} {
		if !strings.Contains(status, want) {
			t.Errorf("%q is not so: %s", want, status)
		}
	}
}
