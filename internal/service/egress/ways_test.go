package egress_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attempt is one request that an agent might try, apart from the way it takes.
type attempt struct {
	connect string // the name or address that the connection is for
	port    uint16 // 443 or 80 by the way where 0
	sni     string // connect where ""; "-" sends none
	host    string // connect where ""
	method  string // GET where ""
	target  string // "/" where ""
	header  []string
	body    string
}

// outcome is what came back; status 0 means that the connection was closed.
type outcome struct {
	status int
	body   string
	reply  byte // of SOCKS5, where that refused
}

// way is one way into the proxy.
type way struct {
	name string
	tls  bool
	h1   bool // raw HTTP/1 reaches the parser
	send func(t *testing.T, w *world, a attempt) outcome
}

func ways() []way {
	return []way{
		{"CONNECT", true, true, sendConnect},
		{"absolute form", false, true, sendAbsolute},
		{"transparent TLS", true, true, sendTLS},
		{"transparent plain", false, true, sendPlain},
		{"HTTP/2 stream", true, false, sendH2},
		{"WebSocket", true, true, sendWebSocket},
		{"SOCKS5", true, true, sendSOCKS},
		{"WebSocket on a stream", true, false, sendWebSocketH2},
	}
}

func (a attempt) filled(port uint16) attempt {
	if a.port == 0 {
		a.port = port
	}
	if a.sni == "" {
		a.sni = a.connect
		if _, err := netip.ParseAddr(a.connect); err == nil {
			a.sni = "-"
		}
	}
	if a.sni == "-" {
		a.sni = ""
	}
	if a.host == "" {
		a.host = a.connect
		if a.port != 443 && a.port != 80 {
			a.host += ":" + strconv.Itoa(int(a.port))
		}
	}
	if a.method == "" {
		a.method = "GET"
	}
	if a.target == "" {
		a.target = "/"
	}
	return a
}

func (a attempt) raw(target string, more ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", a.method, target, a.host)
	for _, line := range append(more, a.header...) {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n" + a.body)
	return b.String()
}

func answer(t *testing.T, conn net.Conn, raw string) outcome {
	t.Helper()
	resp, err := exchange(conn, raw)
	if err != nil {
		return outcome{}
	}
	return outcome{status: resp.StatusCode, body: text(t, resp)}
}

func sendConnect(t *testing.T, w *world, a attempt) outcome {
	t.Helper()
	a = a.filled(443)
	conn := w.dial(t, netip.AddrPort{})
	target := net.JoinHostPort(strings.Trim(a.connect, "[]"), strconv.Itoa(int(a.port)))
	resp, err := exchange(conn, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n")
	if err != nil {
		return outcome{}
	}
	if resp.StatusCode != http.StatusOK {
		return outcome{status: resp.StatusCode, body: text(t, resp)}
	}
	secured, err := w.secure(conn, a.sni)
	if err != nil {
		return outcome{}
	}
	return answer(t, secured, a.raw(a.target))
}

func sendAbsolute(t *testing.T, w *world, a attempt) outcome {
	t.Helper()
	a = a.filled(80)
	authority := a.connect
	if strings.Contains(authority, ":") && !strings.HasPrefix(authority, "[") {
		authority = "[" + authority + "]"
	}
	if a.port != 80 {
		authority += ":" + strconv.Itoa(int(a.port))
	}
	return answer(t, w.dial(t, netip.AddrPort{}), a.raw("http://"+authority+a.target))
}

// reach opens a transparent connection; a host that has no address stands for allowed.example's.
func reach(t *testing.T, w *world, a attempt) net.Conn {
	t.Helper()
	for _, known := range w.names {
		if known == a.connect {
			return w.dial(t, w.to(t, a.connect, a.port))
		}
	}
	if addr, err := netip.ParseAddr(strings.Trim(a.connect, "[]")); err == nil {
		return w.dial(t, netip.AddrPortFrom(addr, a.port))
	}
	return w.dial(t, w.to(t, "allowed.example", a.port))
}

func sendTLS(t *testing.T, w *world, a attempt) outcome {
	t.Helper()
	a = a.filled(443)
	secured, err := w.secure(reach(t, w, a), a.sni)
	if err != nil {
		return outcome{}
	}
	return answer(t, secured, a.raw(a.target))
}

func sendPlain(t *testing.T, w *world, a attempt) outcome {
	t.Helper()
	a = a.filled(80)
	return answer(t, reach(t, w, a), a.raw(a.target))
}

func sendWebSocket(t *testing.T, w *world, a attempt) outcome {
	t.Helper()
	a = a.filled(443)
	secured, err := w.secure(reach(t, w, a), a.sni)
	if err != nil {
		return outcome{}
	}
	return answer(t, secured, a.raw(a.target, "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
}

// sendH2 writes the frames itself, so that pseudo-header fields can be anything.
func sendH2(t *testing.T, w *world, a attempt) outcome {
	t.Helper()
	a = a.filled(443)
	secured, err := w.secure(reach(t, w, a), a.sni, "h2")
	if err != nil {
		return outcome{}
	}
	fields := []hpack.HeaderField{{Name: ":method", Value: a.method}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: a.host}, {Name: ":path", Value: a.target}}
	for _, line := range a.header {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: strings.TrimSpace(value)})
	}
	return h2Exchange(t, secured, fields, a.body)
}

// sendWebSocketH2 asks for a WebSocket by extended CONNECT; another method cannot.
func sendWebSocketH2(t *testing.T, w *world, a attempt) outcome {
	t.Helper()
	if a.method != "" && a.method != http.MethodGet || a.body != "" {
		return sendH2(t, w, a)
	}
	a = a.filled(443)
	secured, err := w.secure(reach(t, w, a), a.sni, "h2")
	if err != nil {
		return outcome{}
	}
	fields := []hpack.HeaderField{
		{Name: ":method", Value: http.MethodConnect}, {Name: ":protocol", Value: "websocket"}, {Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: a.host}, {Name: ":path", Value: a.target}, {Name: "sec-websocket-version", Value: "13"},
	}
	for _, line := range a.header {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: strings.TrimSpace(value)})
	}
	return h2Exchange(t, secured, fields, "")
}

// startH2 opens a connection and its first stream.
func startH2(t testing.TB, conn net.Conn, fields []hpack.HeaderField, end bool) *http2.Framer {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		if err := encoder.WriteField(f); err != nil {
			t.Fatal(err)
		}
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, preface := conn.Write([]byte(http2.ClientPreface))
	if err := errors.Join(preface, framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end,
	})); err != nil {
		t.Fatal(err)
	}
	return framer
}

// h2Exchange makes one stream and returns what came back; a WebSocket's is its head.
func h2Exchange(t testing.TB, conn net.Conn, fields []hpack.HeaderField, body string) outcome {
	t.Helper()
	socket := slices.ContainsFunc(fields, func(f hpack.HeaderField) bool { return f.Name == ":protocol" })
	framer := startH2(t, conn, fields, body == "" && !socket)
	if body != "" {
		if err := framer.WriteData(1, true, []byte(body)); err != nil {
			return outcome{}
		}
	}
	var got outcome
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return got
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "" {
				got.status, _ = strconv.Atoi(status)
				if socket && got.status < 300 {
					return got
				}
			}
		case *http2.DataFrame:
			got.body += string(f.Data())
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return got
		}
		if frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return got
		}
	}
}
