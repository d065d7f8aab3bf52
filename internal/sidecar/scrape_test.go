package sidecar_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

func TestTheStatusSocketIsScraped(t *testing.T) {
	r, ready := configured(t)
	client := agent(t, r, ready)
	if status, _ := get(t, client, "https://example.com/"); status != http.StatusOK {
		t.Fatal(status)
	}
	if _, err := client.Get("https://evil.example/"); err == nil {
		t.Fatal("a denied host was reached")
	}
	// The proxy records when it has answered.
	for end := time.Now().Add(deadline); ; {
		stats, err := r.client.Stats(t.Context())
		if err == nil && stats.DeniedBy["egress"] == 1 && stats.Allowed > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %v", stats, err)
		}
	}
	scraper := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", r.status)
	}, DisableKeepAlives: true}, Timeout: deadline}
	response, err := scraper.Get("http://bottle/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != control.MetricsType {
		t.Fatalf("%v %d %v", err, response.StatusCode, response.Header)
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+\{bottle="test-abc12"(,[a-z]+="[a-z]+")*\} [0-9.e+]+)$`)
	for one := range strings.Lines(string(body)) {
		if !line.MatchString(strings.TrimSuffix(one, "\n")) {
			t.Errorf("no line of the text format: %q", one)
		}
	}
	for _, want := range []string{`bot_bottle_denied_total{bottle="test-abc12",layer="egress"} 1`, `bot_bottle_routes{bottle="test-abc12"} 1`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%q is missing:\n%s", want, body)
		}
	}
	for path, want := range map[string]int{"/": http.StatusNotFound, "/metrics/x": http.StatusNotFound} {
		response, err := scraper.Get("http://bottle" + path)
		if err != nil || response.StatusCode != want {
			t.Errorf("%s: %v, %v", path, response, err)
			continue
		}
		response.Body.Close()
	}
}

// TestAScraperThatTalksNonsenseEndsItself sends what is neither protocol, and too much of it.
func TestAScraperThatTalksNonsenseEndsItself(t *testing.T) {
	r, _ := configured(t)
	for _, text := range []string{"\x16\x03\x01\n", "GET / HTTP/9.9\r\n\r\n", "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "GET /" + strings.Repeat("a", 1<<20)} {
		conn := must[net.Conn](t)(net.Dial("unix", r.status))
		_ = conn.SetDeadline(time.Now().Add(deadline))
		_, _ = conn.Write([]byte(text))
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && answer.StatusCode < 400 {
			t.Errorf("%.20q is answered with %d", text, answer.StatusCode)
		}
		conn.Close()
	}
	if _, err := r.client.Stats(t.Context()); err != nil {
		t.Errorf("the sidecar went with it: %v", err)
	}
}

func TestMetricsOfSeveralBottlesShareTheirHeads(t *testing.T) {
	var b bytes.Buffer
	if err := control.WriteMetrics(&b, []control.Measured{{ID: "a-00000"}, {ID: "b-00000", Stats: control.Stats{Allowed: 1 << 40}}}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "# TYPE bot_bottle_routes gauge\n"); n != 1 || !strings.Contains(b.String(), `verdict="allow"} 1099511627776`) {
		t.Errorf("%d heads\n%s", n, &b)
	}
}
