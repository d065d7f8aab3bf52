package standin_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/bot-bottle/bot-bottle/internal/standin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, config standin.Config) (*standin.Upstream, *http.Client) {
	t.Helper()
	upstream, err := standin.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	client := upstream.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := upstream.Close(); err != nil {
			t.Error(err)
		}
	})
	return upstream, client
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(deadline(t), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestAnyNameIsServedUnderItsOwnCertificate(t *testing.T) {
	upstream, client := start(t, standin.Config{
		Hosts: map[string]http.Handler{"one.example": standin.JSON(`{"is":"one"}`)},
	})
	if _, body := get(t, client, "https://one.example/"); body != `{"is":"one"}` {
		t.Errorf("one.example answered %s", body)
	}
	_, body := get(t, client, "https://two.example/a%2fb?c=d")
	var mirrored standin.Mirrored
	if err := json.Unmarshal([]byte(body), &mirrored); err != nil {
		t.Fatal(err)
	}
	if mirrored.Host != "two.example" || mirrored.URI != "/a%2fb?c=d" || mirrored.Proto != "HTTP/2.0" {
		t.Errorf("mirrored %+v", mirrored)
	}
	requests := upstream.Requests()
	if len(requests) != 2 || requests[1].SNI != "two.example" || requests[1].URI != "/a%2fb?c=d" {
		t.Errorf("recorded %v", requests)
	}
}

func TestAnAddressIsServedWithoutSNI(t *testing.T) {
	upstream, _ := start(t, standin.Config{})
	dialer := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: upstream.Roots()}}
	conn, err := dialer.DialContext(deadline(t), "tcp", upstream.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestAnUncleanPathArrivesAsSent(t *testing.T) {
	upstream, client := start(t, standin.Config{HTTP1Only: true})
	response, _ := get(t, client, "https://x.example//a/../b/%2e%2e/c")
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %s", response.Status)
	}
	if got := upstream.Requests()[0].URI; got != "//a/../b/%2e%2e/c" {
		t.Errorf("recorded %q", got)
	}
}

func TestBodiesAreRecordedUpToTheLimitAndCountedWhole(t *testing.T) {
	upstream, client := start(t, standin.Config{KeepBody: 10})
	request, err := http.NewRequestWithContext(deadline(t), http.MethodPost, "https://x.example/sink", bytes.NewReader(bytes.Repeat([]byte("ab"), 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Seen", "needle-in-header")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	got, err := upstream.Wait(deadline(t), func(r standin.Request) bool { return r.Done })
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Body) != "ababababab" || got.Size != 2<<20 {
		t.Errorf("kept %q of %d bytes", got.Body, got.Size)
	}
	for needle, want := range map[string]bool{"needle-in-header": true, "babab": true, "/sink": true, "absent": false} {
		if got.Contains(needle) != want {
			t.Errorf("Contains(%q) = %v", needle, !want)
		}
	}
}

func TestEventsArriveOneByOne(t *testing.T) {
	_, client := start(t, standin.Config{})
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://x.example/hold", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	line, err := bufio.NewReader(response.Body).ReadString('\n') // the stream stays open behind it
	if err != nil || line != "data: open\n" {
		t.Errorf("read %q, %v", line, err)
	}
	if _, body := get(t, client, "https://x.example/sse?n=2"); strings.Count(body, "event: tick") != 2 {
		t.Errorf("events: %q", body)
	}
}

func TestWebSocketEchoes(t *testing.T) {
	upstream, client := start(t, standin.Config{HTTP1Only: true})
	conn, response, err := websocket.Dial(deadline(t), "wss://ws.example/ws", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %s", response.Status)
	}
	if err := conn.Write(deadline(t), websocket.MessageBinary, []byte("frame")); err != nil {
		t.Fatal(err)
	}
	kind, message, err := conn.Read(deadline(t))
	if err != nil || kind != websocket.MessageBinary || string(message) != "frame" {
		t.Errorf("echoed %v %q, %v", kind, message, err)
	}
	_ = conn.CloseNow()
	if _, err := upstream.Wait(deadline(t), func(r standin.Request) bool { return r.Done }); err != nil {
		t.Error(err)
	}
}

func TestEndpoints(t *testing.T) {
	_, client := start(t, standin.Config{})
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if response, _ := get(t, client, "https://x.example/status/503"); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %s", response.Status)
	}
	if _, body := get(t, client, "https://x.example/bytes/100001"); len(body) != 100001 {
		t.Errorf("%d bytes", len(body))
	}
	if response, _ := get(t, client, "https://x.example/redirect?to=https://other.example/"); response.Header.Get("Location") != "https://other.example/" {
		t.Errorf("headers %v", response.Header)
	}
	if response, _ := get(t, client, "https://x.example/trailers"); response.Trailer.Get("X-After") != "trailer" {
		t.Errorf("trailers %v", response.Trailer)
	}
}

func TestPlainAndCloseTwice(t *testing.T) {
	upstream, client := start(t, standin.Config{Plain: true})
	if _, body := get(t, client, "http://plain.example/hello"); !strings.Contains(body, `"plain.example"`) {
		t.Errorf("answered %s", body)
	}
	if want := fmt.Sprintf("http://127.0.0.1:%d", upstream.Port()); upstream.URL() != want {
		t.Errorf("URL %s, want %s", upstream.URL(), want)
	}
	client.CloseIdleConnections()
	for range 2 {
		if err := upstream.Close(); err != nil {
			t.Error(err)
		}
	}
}
