package egress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestEveryWayReachesAPortThatARouteNames(t *testing.T) {
	up := newUpstream(t, true, true, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoes(w, r)
			return
		}
		echo(w, r)
	})
	plain := newUpstream(t, false, false, echo)
	w := newWorld(t, setup{
		names: names{"allowed.example", "clear.example"},
		set: policy.Set{Routes: []policy.Route{
			{Host: "allowed.example", ConnectTo: up.address(), Ports: []uint16{8443}},
			{Host: "clear.example", ConnectTo: plain.address(), Ports: []uint16{8080}},
		}},
	})
	for _, way := range ways() {
		host, port := "allowed.example", uint16(8443)
		if !way.tls {
			host, port = "clear.example", 8080
		}
		got := way.send(t, w, attempt{connect: host, port: port})
		if got.status != 200 && got.status != 101 {
			t.Errorf("%s: answered %d %s", way.name, got.status, got.body)
		}
		if got := way.send(t, w, attempt{connect: host}); got.status != 403 && got.reply != socksDenied {
			t.Errorf("%s: the usual port is open: %d %s", way.name, got.status, got.body)
		}
	}
	for _, r := range append(up.requests(), plain.requests()...) {
		if want := map[bool]string{true: "allowed.example:8443", false: "clear.example:8080"}[r.TLS != nil]; r.Host != want {
			t.Errorf("Host is %s, want %s", r.Host, want)
		}
	}
}

func TestPassthroughByEveryWay(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := newWorld(t, setup{
		names: names{"pass.example"},
		set:   policy.Set{Routes: []policy.Route{{Host: "pass.example", TLS: policy.TLSPassthrough, ConnectTo: up.address(), Ports: []uint16{443, 5432}}}},
	})
	w.roots.AppendCertsFromPEM(outsideCA(t).CertificatePEM())
	for name, open := range tcpWays() {
		for _, port := range []uint16{443, 5432} {
			for _, sni := range []string{"pass.example", "other.example", ""} {
				before := len(up.requests())
				conn, err := open(t, w, "pass.example", port)
				if err != nil {
					t.Fatal(name, err)
				}
				secured, err := w.secure(conn, sni)
				if sni != "pass.example" {
					if err == nil {
						_, _ = exchange(secured, "GET / HTTP/1.1\r\nHost: pass.example\r\n\r\n")
					}
					if len(up.requests()) != before {
						t.Errorf("%s: SNI %q was passed through", name, sni)
					}
					continue
				}
				if err != nil || secured.ConnectionState().PeerCertificates[0].Issuer.CommonName != "the world" {
					t.Fatalf("%s: not passed through: %v", name, err)
				}
				if resp, err := exchange(secured, "GET / HTTP/1.1\r\nHost: pass.example\r\n\r\n"); err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %v %v", name, resp, err)
				}
			}
		}
	}
}

func TestExpectContinueOverHTTP2ComesAfterTheVerdict(t *testing.T) {
	w := usual(t, newUpstream(t, true, true, echo))
	for host, want := range map[string]string{"allowed.example": "100 200 body=abc", "evil.example": "403"} {
		secured, err := w.secure(w.dial(t, w.to(t, host, 443)), host, "h2")
		if err != nil {
			t.Fatal(err)
		}
		got := expecting(t, secured, host)
		if !strings.HasPrefix(got, strings.Fields(want)[0]) || !strings.Contains(got, want[len(want)-3:]) {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// expecting posts with Expect: 100-continue and sends the body only when it is asked for.
func expecting(t *testing.T, conn net.Conn, host string) string {
	t.Helper()
	framer := startH2(t, conn, []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: host}, {Name: ":path", Value: "/"},
		{Name: "expect", Value: "100-continue"}, {Name: "content-length", Value: "3"},
	}, false)
	var got []string
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return strings.Join(got, " ")
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			status := f.PseudoValue("status")
			got = append(got, status)
			if status == "100" {
				if err := framer.WriteData(1, true, []byte("abc")); err != nil {
					t.Fatal(err)
				}
			}
		case *http2.DataFrame:
			got = append(got, string(f.Data()))
		case *http2.RSTStreamFrame:
			return strings.Join(got, " ")
		}
		if frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return strings.Join(got, " ")
		}
	}
}

// A bidirectional call of gRPC: each side speaks in turn on one stream.
func TestBothSidesOfAStreamSpeakInTurn(t *testing.T) {
	up := newUpstream(t, true, true, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		if r.Header.Get("Te") != "trailers" {
			w.Header().Set("Grpc-Status", "13")
			return
		}
		_ = http.NewResponseController(w).Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = fmt.Fprintln(w, "you said", lines.Text())
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Grpc-Message", "goodbye")
	})
	w := usual(t, up)
	body, say := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://allowed.example/pkg.Service/Chat", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Te", "trailers")
	resp, err := w.client(t, true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		_, _ = fmt.Fprintln(say, i)
		if got, err := lines.ReadString('\n'); err != nil || got != fmt.Sprintf("you said %d\n", i) {
			t.Fatalf("%q %v", got, err)
		}
	}
	_ = say.Close()
	if rest, err := io.ReadAll(lines); err != nil || len(rest) != 0 || resp.Trailer.Get("Grpc-Status") != "0" || resp.Trailer.Get("Grpc-Message") != "goodbye" {
		t.Errorf("%q %v %v", rest, err, resp.Trailer)
	}
}

// gRPC answers an error with trailers only: a head that ends the stream.
func TestAnswersOfTrailersOnlyAreKept(t *testing.T) {
	for _, front := range []bool{false, true} {
		up := newUpstream(t, true, true, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Grpc-Status", "5")
			w.Header().Set("Content-Type", "application/grpc")
			w.WriteHeader(http.StatusOK)
		})
		resp := get(t, usual(t, up).client(t, front), "https://allowed.example/")
		if got := text(t, resp); got != "" || resp.Header.Get("Grpc-Status") != "5" {
			t.Errorf("front=%v: %q %v", front, got, resp.Header)
		}
	}
}

// Threat line: trailers that carry data. A request's are never passed on.
func TestTrailersOfARequestStayHere(t *testing.T) {
	for _, back := range []bool{false, true} {
		trailers := make(chan http.Header, 2)
		up := newUpstream(t, back, true, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			trailers <- r.Trailer
		})
		for _, front := range []bool{false, true} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://allowed.example/", io.MultiReader(strings.NewReader("body")))
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"X-Data": {"a value that nobody scanned"}}
			resp, err := usual(t, up).client(t, front).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = text(t, resp)
			if got := <-trailers; got.Get("X-Data") != "" {
				t.Errorf("front=%v back=%v: %v reached the upstream", front, back, got)
			}
		}
	}
}

// A long poll is answered when there is something, however long nothing was said, and the head
// comes before the body has begun.
func TestAHeadDoesNotWaitForItsBody(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		more := make(chan struct{})
		say := sync.OnceFunc(func() { close(more) })
		up := newUpstream(t, h2, true, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-more
			_, _ = io.WriteString(w, "at last")
		})
		t.Cleanup(say)
		resp := get(t, usual(t, up).client(t, h2), "https://allowed.example/")
		say()
		if got := text(t, resp); got != "at last" {
			t.Errorf("h2=%v: %q", h2, got)
		}
	}
}

// Prior knowledge and the upgrade to HTTP/2 in the clear are refused by each way that could try.
func TestHTTP2InTheClearIsRefused(t *testing.T) {
	up := newUpstream(t, false, false, echo)
	w := newWorld(t, setup{names: names{"other.example"}, set: policy.Set{Routes: []policy.Route{{Host: "other.example", ConnectTo: up.address()}}}})
	for name, open := range tcpWays() {
		conn, err := open(t, w, "other.example", 80)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(conn); strings.HasPrefix(string(got), "\x00\x00") {
			t.Errorf("%s: HTTP/2 was spoken", name)
		}
		conn, err = open(t, w, "other.example", 80)
		if err != nil {
			t.Fatal(name, err)
		}
		resp, err := exchange(conn, "GET / HTTP/1.1\r\nHost: other.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n\r\n")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %v %v", name, resp, err)
		}
	}
	conn := w.dial(t, netip.AddrPort{})
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, http2.ClientPreface)
	if got, _ := io.ReadAll(conn); strings.HasPrefix(string(got), "\x00\x00") {
		t.Error("HTTP/2 was spoken on the proxy's port")
	}
	for _, r := range up.requests() {
		if r.Header.Get("Upgrade") != "" || r.Header.Get("Http2-Settings") != "" {
			t.Errorf("the upgrade reached the upstream: %v", r.Header)
		}
	}
}
