package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// Threat lines: header tricks, duplicate Authorization, "_" for "-", Connection-named tokens,
// X-Forwarded-Host, Upgrade: h2c.
func TestHeadersOfTheAgentThatSteerOrAuthenticateAreTakenOff(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := usual(t, up)
	head := []string{
		"Authorization: Bearer a", "authorization: Bearer b", "X_Authorization: kept", "Authorization_: kept",
		"Connection: X-Secret-Hop, Upgrade, HTTP2-Settings", "X-Secret-Hop: 1", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAA",
		"X-Forwarded-Host: evil.example", "X_Forwarded_For: 1.2.3.4", "Forwarded: host=evil.example", "X-Original-URL: /admin",
		"X-HTTP-Method-Override: DELETE", "Proxy-Authorization: Basic x", "X-Api-Key: of-the-agent", "api_key: of-the-agent", "Accept: text/plain",
	}
	secured, err := w.secure(w.dial(t, w.to(t, "allowed.example", 443)), "allowed.example")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := exchange(secured, "GET / HTTP/1.1\r\nHost: allowed.example\r\n"+strings.Join(head, "\r\n")+"\r\n\r\n")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	got := up.requests()[0].Header
	if auth := got.Values("Authorization"); len(auth) != 1 || auth[0] != "Bearer "+token() {
		t.Errorf("Authorization is %q", auth)
	}
	for _, name := range []string{"X-Secret-Hop", "Upgrade", "Http2-Settings", "X-Forwarded-Host", "X_forwarded_for", "Forwarded", "X-Original-Url", "X-Http-Method-Override", "Proxy-Authorization", "X-Api-Key", "Api_key", "Connection"} {
		if got.Get(name) != "" {
			t.Errorf("%s reached the upstream: %q", name, got.Get(name))
		}
	}
	if got.Get("Accept") != "text/plain" {
		t.Error("Accept did not reach the upstream")
	}
}

func TestEachCredentialSchemeReplacesTheAgentsOwn(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	for _, c := range []struct {
		auth         policy.Auth
		header, want string
	}{
		{policy.Auth{Scheme: "Bearer"}, "Authorization", "Bearer " + token()},
		{policy.Auth{Scheme: "token"}, "Authorization", "token " + token()},
		{policy.Auth{Scheme: "basic", Username: "bot"}, "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("bot:"+token()))},
		{policy.Auth{Scheme: "header", Name: "X-Api-Key"}, "X-Api-Key", token()},
		{policy.Auth{Scheme: "header", Name: "Private-Token"}, "Private-Token", token()},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s h2=%v", c.auth.Scheme, c.auth.Name, h2), func(t *testing.T) {
				c.auth.TokenRef = "GH"
				w := newWorld(t, setup{
					names: names{"allowed.example"}, tokens: tokens{"GH": token()},
					set: policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: up.address(), Auth: &c.auth}}},
				})
				before := len(up.requests())
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://allowed.example/", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"Authorization", "X-Api-Key", "Private-Token", "Private_token"} {
					req.Header[name] = []string{"of-the-agent"}
				}
				resp, err := w.client(t, h2).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = text(t, resp)
				got := up.requests()[before].Header
				if values := got.Values(c.header); len(values) != 1 || values[0] != c.want {
					t.Errorf("%s is %q", c.header, values)
				}
				if c.header != "Authorization" && got.Get("Authorization") != "" {
					t.Error("the agent's Authorization reached the upstream")
				}
				if c.auth.Name == "Private-Token" && got["Private_token"] != nil {
					t.Error("the alias of the injected header reached the upstream")
				}
			})
		}
	}
}

// Threat lines: Alt-Svc that steers to QUIC; redirects to a denied host.
func TestAnswersDoNotSteerPastTheProxy(t *testing.T) {
	up := newUpstream(t, true, true, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Alt-Svc", `h3=":443"`)
		w.Header().Set("Alternate-Protocol", "443:quic")
		w.Header().Set("Location", "https://evil.example/")
		w.WriteHeader(http.StatusFound)
	})
	w := usual(t, up)
	for _, h2 := range []bool{false, true} {
		resp := get(t, w.client(t, h2), "https://allowed.example/")
		_ = text(t, resp)
		if resp.StatusCode != http.StatusFound || resp.Header.Get("Alt-Svc") != "" || resp.Header.Get("Alternate-Protocol") != "" {
			t.Errorf("h2=%v: %d %v", h2, resp.StatusCode, resp.Header)
		}
	}
}

// Threat line: pipelining after an approved request.
func TestPipelinedRequestsAreDecidedOneByOne(t *testing.T) {
	up := newUpstream(t, false, true, echo)
	w := usual(t, up)
	secured, err := w.secure(w.dial(t, w.to(t, "allowed.example", 443)), "allowed.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(secured, "GET /1 HTTP/1.1\r\nHost: allowed.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: evil.example\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(secured)
	for _, want := range []int{200, 421} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _ = text(t, resp); resp.StatusCode != want {
			t.Errorf("answered %d, want %d", resp.StatusCode, want)
		}
	}
	if n := len(up.requests()); n != 1 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

// Threat line: chunk extensions.
func TestChunkTricksNeverReachTheUpstreamAsABody(t *testing.T) {
	whole := make(chan bool, 16)
	up := newUpstream(t, false, true, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		whole <- err == nil
	})
	w := usual(t, up)
	for _, body := range []string{
		"3;a=b\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n",
		"3\r\nabcd\r\n0\r\n\r\n", "3\r\nabcXX0\r\n\r\n", "fffffffffffffffff\r\nabc\r\n", "\r\nabc\r\n0\r\n\r\n",
	} {
		got := sendTLS(t, w, attempt{connect: "allowed.example", method: "POST", header: []string{"Transfer-Encoding: chunked"}, body: body})
		if got.status != 400 && got.status != 0 {
			t.Errorf("%q: answered %d", body, got.status)
		}
	}
	for _, r := range up.requests() {
		if r.RequestURI != "/" {
			t.Errorf("smuggled %s", r.RequestURI)
		}
		select {
		case ok := <-whole:
			if ok {
				t.Error("the upstream took a broken body for a whole one")
			}
		case <-time.After(patience):
			t.Fatal("the upstream still waits")
		}
	}
}

func TestServerSentEventsArriveWhenTheyAreSent(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		more := make(chan struct{})
		up := newUpstream(t, h2, true, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for range 3 {
				_, _ = io.WriteString(w, "data: x\n\n")
				_ = http.NewResponseController(w).Flush()
				<-more
			}
		})
		resp := get(t, usual(t, up).client(t, h2), "https://allowed.example/")
		event := make([]byte, 9)
		for i := range 3 {
			if _, err := io.ReadFull(resp.Body, event); err != nil {
				t.Fatalf("h2=%v event %d: %v", h2, i, err)
			}
			more <- struct{}{}
		}
		_ = text(t, resp)
	}
}

func TestTrailersCrossTheProtocols(t *testing.T) {
	for _, front := range []bool{false, true} {
		for _, back := range []bool{false, true} {
			up := newUpstream(t, back, true, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Trailer", "Grpc-Status")
				_, _ = io.WriteString(w, "body")
				w.Header().Set("Grpc-Status", "0")
			})
			resp := get(t, usual(t, up).client(t, front), "https://allowed.example/")
			if got := text(t, resp); got != "body" || resp.Trailer.Get("Grpc-Status") != "0" {
				t.Errorf("front=%v back=%v: %q %v", front, back, got, resp.Trailer)
			}
		}
	}
}

// Threat line: trailers that carry what a client takes for a field of the head.
func TestTrailersThatSteerEndHere(t *testing.T) {
	addr := rawUpstream(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: a=b\r\nLocation: /x\r\nContent-Type: text/html\r\nKept: 1\r\n\r\n")
		}
	})
	w := newWorld(t, setup{names: names{"allowed.example"}, set: policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: addr}}}})
	conn := w.dial(t, w.to(t, "allowed.example", 80))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: allowed.example\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	for _, name := range []string{"Set-Cookie", "Location", "Content-Type"} {
		if err != nil || strings.Contains(string(got), name) || !strings.Contains(string(got), "Kept: 1") {
			t.Errorf("%v %q", err, got)
		}
	}
}

func TestExpectContinueIsAnsweredAfterTheVerdict(t *testing.T) {
	up := newUpstream(t, false, true, echo)
	w := usual(t, up)
	for host, want := range map[string]string{"allowed.example": "HTTP/1.1 100 Continue\r\n", "evil.example": "HTTP/1.1 403 Forbidden\r\n"} {
		secured, err := w.secure(w.dial(t, w.to(t, host, 443)), host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(secured, "POST / HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(secured).ReadString('\n')
		if err != nil || line != want {
			t.Errorf("%s: %q %v", host, line, err)
		}
	}
}

// A mail client sends a line and waits: it must not wait for our patience with a head.
func TestAnotherProtocolIsRefusedAtItsFirstLine(t *testing.T) {
	w := usual(t, newUpstream(t, false, true, echo))
	for _, line := range []string{"EHLO mail\r\n", "USER x y z\r\n", "GET / HTTP/9.9\r\n"} {
		conn := w.dial(t, w.to(t, "allowed.example", 80))
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, line); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q is waited for", line)
		}
	}
}

func TestLargeBodiesStreamBothWays(t *testing.T) {
	const size = 24 << 20
	for _, front := range []bool{false, true} {
		for _, back := range []bool{false, true} {
			up := newUpstream(t, back, true, func(w http.ResponseWriter, r *http.Request) {
				n, _ := io.Copy(io.Discard, r.Body)
				w.Header().Set("X-Got", fmt.Sprint(n))
				_, _ = io.CopyN(w, zeros{}, size)
			})
			client := usual(t, up).client(t, front)
			for _, length := range []int64{size, -1} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://allowed.example/", io.LimitReader(zeros{}, size))
				if err != nil {
					t.Fatal(err)
				}
				req.ContentLength = length
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || n != size || resp.Header.Get("X-Got") != fmt.Sprint(size) {
					t.Errorf("front=%v back=%v length=%d: %d bytes, %v, upstream got %s", front, back, length, n, err, resp.Header.Get("X-Got"))
				}
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestWebSocketMessagesPassBothWays(t *testing.T) {
	up := newUpstream(t, false, true, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		conn.SetReadLimit(1 << 20)
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})
	w := usual(t, up)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, mode := range []websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionContextTakeover} {
		conn, resp, err := websocket.Dial(ctx, "wss://allowed.example/ws", &websocket.DialOptions{HTTPClient: w.client(t, false), CompressionMode: mode})
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp.StatusCode)
		}
		conn.SetReadLimit(1 << 20)
		for _, size := range []int{0, 5, 200, 70_000} {
			if err := conn.Write(ctx, websocket.MessageText, bytes.Repeat([]byte("a"), size)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := conn.Read(ctx); err != nil || len(got) != size {
				t.Fatal(len(got), err)
			}
		}
		if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
	}
	if got := up.requests()[0].Header.Get("Authorization"); got != "Bearer "+token() {
		t.Errorf("the handshake carried %q", got)
	}
}

// Threat line: WebSocket as a tunnel.
func TestWhatIsNoWebSocketIsNotTunnelled(t *testing.T) {
	saw := make(chan string, 4)
	up := newUpstream(t, false, true, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		accept := "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" // for the key of RFC 6455 §1.3
		if r.URL.Path == "/wrong" {
			accept = "AAAA"
		}
		_, _ = fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept)
		_ = rw.Flush()
		got, _ := io.ReadAll(rw)
		saw <- string(got)
	})
	w := usual(t, up)
	if got := sendWebSocket(t, w, attempt{connect: "allowed.example", target: "/wrong"}); got.status != 502 {
		t.Errorf("a wrong handshake was answered %d", got.status)
	}
	if got := sendTLS(t, w, attempt{connect: "allowed.example", target: "/unasked", header: []string{"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}}); got.status != 502 {
		t.Errorf("an unasked 101 was answered %d", got.status)
	}
	for range 2 {
		<-saw
	}
	got := sendWebSocket(t, w, attempt{connect: "allowed.example", body: "SSH-2.0-tunnel through\r\n"})
	if got.status != 101 && got.status != 0 {
		t.Errorf("answered %d", got.status)
	}
	if through := <-saw; through != "" {
		t.Errorf("the upstream saw %q", through)
	}
}

func TestPassthroughKeepsTheUpstreamsCertificate(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := newWorld(t, setup{
		names: names{"pass.example", "allowed.example"},
		set:   policy.Set{Routes: []policy.Route{{Host: "pass.example", TLS: policy.TLSPassthrough, ConnectTo: up.address()}}},
	})
	w.roots.AppendCertsFromPEM(outsideCA(t).CertificatePEM())
	resp := get(t, w.client(t, true), "https://pass.example/")
	if resp.TLS.PeerCertificates[0].Issuer.CommonName != "the world" {
		t.Error("the TLS was opened")
	}
	if got := text(t, resp); !strings.HasPrefix(got, "HTTP/2.0 GET") {
		t.Error(got)
	}
	for to, sni := range map[string]string{"pass.example": "", "allowed.example": "pass.example"} {
		before := len(up.requests())
		if secured, err := w.secure(w.dial(t, w.to(t, to, 443)), sni); err == nil {
			_, _ = exchange(secured, "GET / HTTP/1.1\r\nHost: pass.example\r\n\r\n")
		}
		if len(up.requests()) != before {
			t.Errorf("SNI %q was passed through", sni)
		}
	}
}

func TestReplacedPolicyHoldsForTheNextRequestOfAnOpenConnection(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := usual(t, up)
	for _, h2 := range []bool{false, true} {
		client := w.client(t, h2)
		allowed := w.server.Rules().Set()
		if resp := get(t, client, "https://allowed.example/"); text(t, resp) == "" || resp.StatusCode != http.StatusOK {
			t.Fatal(resp.StatusCode)
		}
		if err := w.server.SetPolicy(policy.Set{Routes: []policy.Route{{Host: "allowed.example"}, {Host: "bad host"}}}); err == nil {
			t.Fatal("a bad set was taken")
		}
		if resp := get(t, client, "https://allowed.example/"); text(t, resp) == "" || resp.StatusCode != http.StatusOK {
			t.Fatal("a bad set changed the policy")
		}
		if err := w.server.SetPolicy(policy.Set{}); err != nil {
			t.Fatal(err)
		}
		if resp := get(t, client, "https://allowed.example/"); text(t, resp) == "" || resp.StatusCode != http.StatusForbidden {
			t.Fatal(resp.StatusCode)
		}
		if err := w.server.SetPolicy(allowed); err != nil {
			t.Fatal(err)
		}
	}
}

// turning answers each lookup with the next addresses.
type turning struct {
	answers [][]netip.Addr
	n       atomic.Int64
}

func (r *turning) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return r.answers[min(int(r.n.Add(1))-1, len(r.answers)-1)], nil
}

// Threat line: rebinding between check and dial, also on pooled connections.
func TestRebindingMeetsTheGuardAtEachDial(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	loopback := netip.MustParseAddr("127.0.0.1")
	resolver := &turning{answers: [][]netip.Addr{{loopback}, {netip.MustParseAddr("169.254.169.254")}, {netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("10.0.0.1")}}}
	port := netip.MustParseAddrPort(up.address()).Port()
	set := policy.Set{Routes: []policy.Route{{Host: "allowed.example", Ports: []uint16{port}, AllowPrivate: []netip.Prefix{netip.PrefixFrom(loopback, 32)}}}}
	w := newWorld(t, setup{names: names{"allowed.example"}, resolver: resolver, set: set})
	url := fmt.Sprintf("https://allowed.example:%d/", port)
	for i, want := range []int{200, 200, 403, 403} {
		if i >= 2 { // forget the connection that was checked
			if err := w.server.SetPolicy(set); err != nil {
				t.Fatal(err)
			}
		}
		if resp := get(t, w.client(t, false), url); text(t, resp) == "" || resp.StatusCode != want {
			t.Errorf("request %d: answered %d, want %d", i, resp.StatusCode, want)
		}
	}
	if n := resolver.n.Load(); n != 3 {
		t.Errorf("%d lookups for three dials", n)
	}
}

func TestUpstreamProxyIsDialledThroughAndKeepsTheGuards(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	var asked atomic.Value
	proxy := newUpstream(t, false, false, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Host + " " + r.Header.Get("Proxy-Authorization"))
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		to, err := net.Dial("tcp", up.address())
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, conn); _ = to.Close() }()
		_, _ = io.Copy(conn, to)
	})
	w := newWorld(t, setup{
		names:  names{"allowed.example"},
		tokens: tokens{"PROXY": "http://user:word@" + proxy.address()},
		set: policy.Set{UpstreamProxy: "PROXY", Routes: []policy.Route{
			{Host: "allowed.example"}, {Host: "10.0.0.9"}, {Host: "pass.example", TLS: policy.TLSPassthrough},
		}},
	})
	if resp := get(t, w.client(t, false), "https://allowed.example/"); !strings.Contains(text(t, resp), "GET /") {
		t.Fatal(resp.StatusCode)
	}
	if want := "allowed.example:443 Basic " + base64.StdEncoding.EncodeToString([]byte("user:word")); asked.Load() != want {
		t.Errorf("the proxy was asked %q", asked.Load())
	}
	if got := sendTLS(t, w, attempt{connect: "10.0.0.9"}); got.status != 403 || !strings.Contains(got.body, "private") {
		t.Errorf("a private address through the proxy: %d %s", got.status, got.body)
	}
}

func TestSilentAndSlowClientsAreEnded(t *testing.T) {
	up := newUpstream(t, false, true, echo)
	w := newWorld(t, setup{
		names:  names{"allowed.example", "evil.example"},
		set:    policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: up.address()}}},
		limits: egress.Limits{FirstByte: 50 * time.Millisecond, FirstByteDeny: 20 * time.Millisecond, Head: 50 * time.Millisecond},
	})
	for _, c := range []struct{ name, host, send, want string }{
		{"a refused one that waits for the server", "evil.example", "", ""},
		{"an allowed one that waits for the server", "allowed.example", "", ""},
		{"half a ClientHello", "allowed.example", "\x16\x03\x01\x02", ""},
		{"another protocol", "allowed.example", "\x00\x00\x00\x08\x04\xd2\x16\x2f", ""},
		{"half a head", "allowed.example", "GET / HTTP/1.1\r\nHost: a", "408"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := w.dial(t, w.to(t, c.host, 80))
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() || !strings.Contains(string(got), c.want) {
				t.Errorf("%q %v", got, err)
			}
		})
	}
	denied := 0
	for _, e := range w.records.all() {
		if e.Verdict == "deny" && e.Reason != "" {
			denied++
		}
	}
	if denied != 5 {
		t.Errorf("%d of 5 stand in the audit log", denied)
	}
}

func TestAnAgentThatLeavesEndsItsUpstreamRequest(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		came, gone := make(chan struct{}), make(chan struct{})
		up := newUpstream(t, h2, true, func(_ http.ResponseWriter, r *http.Request) {
			close(came)
			<-r.Context().Done()
			close(gone)
		})
		w := usual(t, up)
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://allowed.example/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		client := w.client(t, h2)
		go func() {
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
		<-came
		cancel()
		client.CloseIdleConnections()
		select {
		case <-gone:
		case <-time.After(patience):
			t.Fatalf("h2=%v: the upstream still works for nobody", h2)
		}
	}
}

func TestAuditHasNoValues(t *testing.T) {
	up := newUpstream(t, false, true, echo)
	w := usual(t, up)
	set := w.server.Rules().Set()
	set.Log = "full"
	if err := w.server.SetPolicy(set); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"allowed.example", "evil.example"} {
		got := sendTLS(t, w, attempt{connect: host, target: "/p?key=queryvalue", header: []string{"X-A: headervalue"}})
		if got.status == 0 {
			t.Fatal("no answer")
		}
	}
	deadline := time.Now().Add(patience)
	for !strings.Contains(fmt.Sprintf("%+v", w.records.all()), "x-a") && time.Now().Before(deadline) {
		_ = get(t, w.client(t, false), "https://allowed.example/").Body.Close()
	}
	all := fmt.Sprintf("%+v", w.records.all())
	for _, never := range []string{"queryvalue", "headervalue", token()} {
		if strings.Contains(all, never) {
			t.Errorf("the audit log has %q", never)
		}
	}
	if !strings.Contains(all, "/p") || !strings.Contains(all, "x-a") || !strings.Contains(all, "Injected:GH") {
		t.Errorf("the audit log lacks something: %s", all)
	}
}
