package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2socket is an agent's WebSocket on one stream, by frames of its own.
type h2socket struct {
	conn   net.Conn
	framer *http2.Framer
	mu     sync.Mutex // guards writes of framer
	status int
	header http.Header
	data   chan []byte // closed at the end of the stream
	reset  chan http2.ErrCode
}

// openH2Socket asks for a WebSocket (RFC 8441 §4) and waits for the answer.
func openH2Socket(t *testing.T, w *world, host, path string, more ...hpack.HeaderField) *h2socket {
	t.Helper()
	return openH2SocketOn(t, w.dial(t, w.to(t, host, 443)), w, host, path, more...)
}

func openH2SocketOn(t *testing.T, conn net.Conn, w *world, host, path string, more ...hpack.HeaderField) *h2socket {
	t.Helper()
	secured, err := w.secure(conn, host, "h2")
	if err != nil {
		t.Fatal(err)
	}
	s := &h2socket{conn: secured, framer: http2.NewFramer(secured, secured), header: http.Header{}, data: make(chan []byte, 1024), reset: make(chan http2.ErrCode, 1)}
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fields := append([]hpack.HeaderField{
		{Name: ":method", Value: "CONNECT"}, {Name: ":protocol", Value: "websocket"}, {Name: ":scheme", Value: "https"},
		{Name: ":path", Value: path}, {Name: ":authority", Value: host}, {Name: "sec-websocket-version", Value: "13"},
	}, more...)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		if err := encoder.WriteField(f); err != nil {
			t.Fatal(err)
		}
	}
	_, preface := secured.Write([]byte(http2.ClientPreface))
	if err := errors.Join(preface, s.framer.WriteSettings(), s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go s.read(answered)
	select {
	case <-answered:
	case <-time.After(patience):
		t.Fatal("the stream was not answered")
	}
	return s
}

func (s *h2socket) read(answered chan struct{}) {
	defer close(s.data)
	answer := sync.OnceFunc(func() { close(answered) })
	defer answer()
	for {
		frame, err := s.framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "" {
				s.status, _ = strconv.Atoi(status)
			}
			for _, field := range f.RegularFields() {
				s.header.Add(field.Name, field.Value)
			}
			answer()
		case *http2.DataFrame:
			if len(f.Data()) > 0 {
				s.data <- bytes.Clone(f.Data())
				s.mu.Lock()
				_ = s.framer.WriteWindowUpdate(1, uint32(len(f.Data())))
				_ = s.framer.WriteWindowUpdate(0, uint32(len(f.Data())))
				s.mu.Unlock()
			}
		case *http2.RSTStreamFrame:
			s.reset <- f.ErrCode
			return
		}
		if frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return
		}
	}
}

// Read and Write make a stream of bytes of the HTTP/2 stream.
func (s *h2socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(p), s.framer.WriteData(1, false, p)
}

// message is a whole frame with a mask of zeros.
func message(opcode byte, payload []byte) []byte {
	head := []byte{0x80 | opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	return append(head, payload...)
}

// next collects n bytes.
func (s *h2socket) next(t *testing.T, n int) []byte {
	t.Helper()
	var got []byte
	deadline := time.After(patience)
	for len(got) < n {
		select {
		case more, ok := <-s.data:
			if !ok {
				t.Fatalf("the stream ended after %d of %d bytes: %q", len(got), n, got)
			}
			got = append(got, more...)
		case <-deadline:
			t.Fatalf("only %d of %d bytes came", len(got), n)
		}
	}
	return got
}

// echoes is a WebSocket server that sends back what it gets.
func echoes(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover, Subprotocols: []string{"chat"}})
	if err != nil {
		return
	}
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func TestAWebSocketOverHTTP2IsTranslated(t *testing.T) {
	up := newUpstream(t, false, true, echoes)
	w := usual(t, up)
	s := openH2Socket(t, w, "allowed.example", "/ws?x=1", hpack.HeaderField{Name: "sec-websocket-protocol", Value: "chat"}, hpack.HeaderField{Name: "authorization", Value: "Bearer of-the-agent"})
	if s.status != 200 || s.header.Get("sec-websocket-accept") != "" || s.header.Get("sec-websocket-protocol") != "chat" {
		t.Fatalf("answered %d %v", s.status, s.header)
	}
	for _, text := range []string{"hello", "", strings.Repeat("x", 100)} {
		if _, err := s.Write(message(1, []byte(text))); err != nil {
			t.Fatal(err)
		}
		if got := s.next(t, 2+len(text)); string(got) != string(append([]byte{0x81, byte(len(text))}, text...)) {
			t.Errorf("%q came back as %q", text, got)
		}
	}
	if _, err := s.Write(message(8, []byte{3, 232})); err != nil {
		t.Fatal(err)
	}
	if got := s.next(t, 4); got[0] != 0x88 {
		t.Errorf("the goodbye is %x", got)
	}
	if _, more := <-s.data; more {
		t.Error("more came after the goodbye")
	}
	r := up.requests()[0]
	if r.Method != http.MethodGet || r.RequestURI != "/ws?x=1" || r.Header.Get("Authorization") != "Bearer "+token() {
		t.Errorf("the upstream saw %s %s %v", r.Method, r.RequestURI, r.Header)
	}
	e := awaitEvent(t, w, func(e audit.Event) bool { return e.Proto == "websocket" })
	if e.Verdict != "allow" || e.Method != http.MethodGet || e.Status != 101 || e.Sent == 0 || e.Received == 0 {
		t.Errorf("the audit log has %+v", e)
	}
}

// h2Only is the address of an upstream that speaks HTTP/2 and nothing else, as it says by the
// alert of RFC 7301 §3.2, with WebSockets by extended CONNECT. Go's own falls back to HTTP/1.
func h2Only(t *testing.T, saw chan<- *http.Request) string {
	t.Helper()
	authority := outsideCA(t)
	return rawUpstream(t, func(conn net.Conn) {
		br := bufio.NewReaderSize(conn, 16<<10)
		_, _ = br.Peek(1)
		hello, _ := br.Peek(br.Buffered())
		if !bytes.Contains(hello, []byte("\x02h2")) {
			_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, 120})
			return
		}
		secured := tls.Server(&buffered{conn, br}, &tls.Config{
			NextProtos:     []string{"h2"},
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return authority.Leaf(h.ServerName) },
		})
		if secured.Handshake() == nil {
			(&http2.Server{}).ServeConn(secured, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				saw <- r.Clone(context.Background())
				echoFrames(w, r)
			})})
		}
	})
}

// echoFrames is a WebSocket on a stream, with frames of up to 125 bytes.
func echoFrames(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/plain" {
		_, _ = io.WriteString(w, r.Proto+" "+r.Method)
		return
	}
	if r.Method != http.MethodConnect || r.Header.Get(":protocol") != "websocket" || r.Header.Get("Sec-WebSocket-Version") != "13" || r.Header.Get("Sec-WebSocket-Key") != "" {
		http.Error(w, "no WebSocket", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		head := make([]byte, 6)
		if _, err := io.ReadFull(r.Body, head); err != nil {
			return
		}
		payload := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(r.Body, payload); err != nil {
			return
		}
		for i := range payload {
			payload[i] ^= head[2+i%4]
		}
		_, _ = w.Write(append([]byte{head[0], head[1] & 0x7f}, payload...))
		_ = http.NewResponseController(w).Flush()
		if head[0]&0x0f == 8 {
			return
		}
	}
}

func TestAWebSocketReachesAnUpstreamThatSpeaksOnlyHTTP2(t *testing.T) {
	saw := make(chan *http.Request, 4)
	w := newWorld(t, setup{
		names: names{"allowed.example"}, tokens: tokens{"GH": token()},
		set: policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: h2Only(t, saw), Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "GH"}}}},
	})
	s := openH2Socket(t, w, "allowed.example", "/ws")
	if s.status != 200 {
		t.Fatal(s.status, string(<-s.data))
	}
	if _, err := s.Write(message(1, []byte("hello"))); err != nil {
		t.Fatal(err)
	}
	if got := s.next(t, 7); string(got) != "\x81\x05hello" {
		t.Errorf("%q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "wss://allowed.example/ws", &websocket.DialOptions{HTTPClient: w.client(t, false)})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte("from HTTP/1")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(ctx); err != nil || string(got) != "from HTTP/1" {
		t.Errorf("%q %v", got, err)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	if got := text(t, get(t, w.client(t, false), "https://allowed.example/plain")); got != "HTTP/2.0 GET" {
		t.Errorf("a request over HTTP/1 was answered %q", got)
	}
	for range 3 {
		if r := <-saw; r.Header.Get("Authorization") != "Bearer "+token() {
			t.Errorf("the handshake carried %q", r.Header.Get("Authorization"))
		}
	}
}

func TestAWebSocketOverHTTP2GetsAVerdict(t *testing.T) {
	up := newUpstream(t, false, true, echoes)
	w := newWorld(t, setup{
		names: names{"allowed.example", "evil.example"},
		set:   policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: up.address(), Matches: []policy.Match{{Paths: []policy.PathMatch{{Type: "prefix", Value: "/ok/"}}, Methods: []string{"GET"}}}}}},
	})
	for _, c := range []struct {
		host, path string
		status     int
	}{{"allowed.example", "/no", 403}, {"evil.example", "/ok/x", 403}, {"allowed.example", "/ok/../no", 400}, {"allowed.example", "/ok/x", 200}} {
		s := openH2Socket(t, w, c.host, c.path)
		if s.status != c.status {
			t.Errorf("%s%s: answered %d, want %d", c.host, c.path, s.status, c.status)
		}
		_ = s.conn.Close()
	}
	if n := len(up.requests()); n != 1 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

// Threat lines: CONNECT-UDP, a tunnel in a tunnel, WebSocket as a tunnel.
func TestNoOtherProtocolIsConnectedOverHTTP2(t *testing.T) {
	up := newUpstream(t, true, true, echoes)
	w := usual(t, up)
	for _, protocol := range []string{"connect-udp", "connect-ip", "connect-tcp", "webtransport", "WebSocket2"} {
		secured, err := w.secure(w.dial(t, w.to(t, "allowed.example", 443)), "allowed.example", "h2")
		if err != nil {
			t.Fatal(err)
		}
		got := h2Exchange(t, secured, []hpack.HeaderField{
			{Name: ":method", Value: "CONNECT"}, {Name: ":protocol", Value: protocol}, {Name: ":scheme", Value: "https"},
			{Name: ":path", Value: "/.well-known/masque/udp/192.0.2.6/443/"}, {Name: ":authority", Value: "allowed.example"}, {Name: "sec-websocket-version", Value: "13"},
		}, "")
		if got.status != 403 || !strings.Contains(got.body, "CONNECT") {
			t.Errorf("%s: answered %d %s", protocol, got.status, got.body)
		}
	}
	if n := len(up.requests()); n != 0 {
		t.Errorf("the upstream saw %d requests", n)
	}
	s := openH2Socket(t, usual(t, newUpstream(t, false, true, echoes)), "allowed.example", "/")
	if _, err := s.Write([]byte("SSH-2.0-tunnel through\r\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.reset:
	case <-time.After(patience):
		t.Error("what is no frame does not end the stream")
	}
}

// Each message passes the Inspector, on every pair of protocols.
func TestMessagesAreInspectedOverHTTP2Too(t *testing.T) {
	for name, addr := range map[string]string{"HTTP/1 upstream": newUpstream(t, false, true, echoes).address(), "HTTP/2 upstream": h2Only(t, make(chan *http.Request, 1))} {
		t.Run(name, func(t *testing.T) {
			inspectors := &blocking{word: "forbidden"}
			w := newWorld(t, setup{
				names: names{"allowed.example"}, inspectors: inspectors,
				set: policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: addr}}},
			})
			s := openH2Socket(t, w, "allowed.example", "/")
			if s.status != 200 {
				t.Fatal(s.status)
			}
			if _, err := s.Write(message(1, []byte("fine"))); err != nil {
				t.Fatal(err)
			}
			if got := s.next(t, 6); string(got) != "\x81\x04fine" {
				t.Fatalf("%q", got)
			}
			if _, err := s.Write(message(1, []byte("forbidden"))); err != nil {
				t.Fatal(err)
			}
			select {
			case <-s.reset:
			case <-time.After(patience):
				t.Fatal("the stream goes on")
			}
			awaitEvent(t, w, func(e audit.Event) bool { return e.Verdict == "deny" && e.Layer == "dlp" })
		})
	}
}

// blocking refuses a frame with the word in it.
type blocking struct{ word string }

func (b *blocking) Inspect(egress.Exchange) egress.Inspector { return &blocker{word: b.word} }

type blocker struct{ word string }

func (*blocker) Request(context.Context, *egress.Head) error              { return nil }
func (*blocker) RequestBody(_ context.Context, body io.Reader) io.Reader  { return body }
func (*blocker) Response(context.Context, int, egress.Header) error       { return nil }
func (*blocker) ResponseBody(_ context.Context, body io.Reader) io.Reader { return body }
func (*blocker) Close()                                                   {}
func (b *blocker) Messages(_ context.Context, to egress.Direction, r io.Reader) io.Reader {
	if to == egress.Inbound {
		return r
	}
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if bytes.Contains(p[:n], []byte(b.word)) {
			return 0, &egress.Blocked{Reason: "a forbidden word", Rule: "word"}
		}
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// An extension whose frames nobody here can read is not offered; the upstream that chooses one
// all the same is refused.
func TestOnlyDeflateIsNegotiated(t *testing.T) {
	for chosen, want := range map[string]int{"": 101, "permessage-deflate; client_no_context_takeover": 101, "x-webkit-deflate-frame": 502, "permessage-deflate, x-mux": 502} {
		offered := make(chan string, 1)
		up := newUpstream(t, false, true, func(w http.ResponseWriter, r *http.Request) {
			offered <- strings.Join(r.Header.Values("Sec-WebSocket-Extensions"), ", ")
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = fmt.Fprintf(rw, "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: %s\r\n\r\n", chosen)
			_ = rw.Flush()
			_, _ = io.Copy(io.Discard, rw)
		})
		got := sendWebSocket(t, usual(t, up), attempt{connect: "allowed.example", header: []string{"Sec-WebSocket-Extensions: x-mux; max=4, Permessage-Deflate; client_max_window_bits", "Sec-WebSocket-Extensions: x-webkit-deflate-frame"}})
		if got.status != want {
			t.Errorf("%q: answered %d, want %d", chosen, got.status, want)
		}
		if o := <-offered; o != "Permessage-Deflate; client_max_window_bits" {
			t.Errorf("offered %q", o)
		}
	}
}
