package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
)

// kinds are the sorts of streams of the soak; each has a client of its own.
func kinds() []kind {
	var all []kind
	for _, host := range []string{"one.example", "two.example"} {
		for _, h2 := range []bool{false, true} {
			over := map[bool]string{false: "HTTP/1", true: "HTTP/2"}[h2] + " to " + host
			all = append(all, kind{"download, " + over, host, h2, (*soak).download}, kind{"upload, " + over, host, h2, (*soak).upload}, kind{"events, " + over, host, h2, (*soak).download})
		}
	}
	return append(all,
		kind{"WebSocket", "one.example", false, (*soak).socket}, kind{"WebSocket on a stream", "one.example", true, (*soak).streamSocket},
		kind{"TLS passed through", "through.example", false, (*soak).download}, kind{"tcp tunnel", "db.example", false, (*soak).tunnel},
	)
}

// clients makes one for each kind.
func (s *soak) clients(t *testing.T) []*http.Client {
	t.Helper()
	outside := x509.NewCertPool()
	outside.AppendCertsFromPEM(outsideCA(t).CertificatePEM())
	var all []*http.Client
	for _, k := range kinds() {
		c := s.w.client(t, k.h2)
		c.Timeout = 0
		own := c.Transport.(*http.Transport)
		own.MaxIdleConnsPerHost = s.streams
		switch {
		case k.host == "through.example":
			own.TLSClientConfig.RootCAs = outside
		case strings.HasPrefix(k.name, "WebSocket on"):
			transport := &http2.Transport{TLSClientConfig: own.TLSClientConfig, DialTLSContext: func(ctx context.Context, _, _ string, config *tls.Config) (net.Conn, error) {
				conn, err := s.w.door.dial(s.w.to(t, k.host, 443))
				if err != nil {
					return nil, err
				}
				secured := tls.Client(conn, config)
				return secured, secured.HandshakeContext(ctx)
			}}
			c.Transport = transport
			t.Cleanup(transport.CloseIdleConnections)
		}
		all = append(all, c)
	}
	return all
}

// answer is the upstream of all that is HTTP: it verifies what comes, sends what is asked for,
// and breaks off where the path says so.
func (s *soak) answer(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/ok/") {
		s.fail("the upstream saw %s", r.URL.Path)
	}
	query := r.URL.Query()
	key, _ := strconv.ParseUint(query.Get("key"), 16, 64)
	size, _ := strconv.Atoi(query.Get("size"))
	breaks := query.Has("break")
	switch r.URL.Path {
	case "/ok/socket":
		s.pause(r.Context(), key)
		echoesUntil(w, r, breaks)
	case "/ok/up":
		body := io.Reader(r.Body)
		if breaks {
			body = io.LimitReader(body, int64(size/2))
		}
		s.pause(r.Context(), key)
		n, err := verify(body, key)
		if breaks {
			panic(http.ErrAbortHandler)
		}
		if errors.Is(err, errWrongByte) || err == nil && n != size {
			s.fail("an upload of %d bytes ended after %d: %v", size, n, err)
		}
		_, _ = fmt.Fprint(w, n)
	default:
		var to io.Writer = w
		if query.Has("events") {
			w.Header().Set("Content-Type", "text/event-stream")
			to = eventWriter{w}
		}
		body, buf := newPattern(key, size), make([]byte, 4<<10)
		_, _ = io.CopyBuffer(struct{ io.Writer }{to}, io.LimitReader(body, int64(size/2)), buf)
		_ = http.NewResponseController(w).Flush()
		s.pause(r.Context(), key)
		if breaks {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.CopyBuffer(struct{ io.Writer }{to}, body, buf)
	}
}

// pause keeps a stream open, so that all are open at once and not one after the other.
func (s *soak) pause(ctx context.Context, key uint64) {
	if s.pace == 0 {
		return
	}
	timer := time.NewTimer(time.Duration(key % uint64(s.pace)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// eventWriter makes each Write an event that is sent at once.
type eventWriter struct{ w http.ResponseWriter }

func (e eventWriter) Write(p []byte) (int, error) {
	if _, err := fmt.Fprintf(e.w, "data: %x\n\n", p); err != nil {
		return 0, err
	}
	return len(p), http.NewResponseController(e.w).Flush()
}

// eventReader is what was written.
func eventReader(body io.Reader) io.Reader {
	lines, rest := bufio.NewReader(body), []byte(nil)
	return readerFunc(func(p []byte) (int, error) {
		for len(rest) == 0 {
			line, err := lines.ReadString('\n')
			if text, ok := strings.CutPrefix(line, "data: "); ok && err == nil {
				if rest, err = hex.DecodeString(strings.TrimSpace(text)); err != nil {
					return 0, errWrongByte
				}
			}
			if err != nil {
				return 0, err
			}
		}
		n := copy(p, rest)
		rest = rest[n:]
		return n, nil
	})
}

// url is where a stream goes.
func (st *stream) url(path string, size int, more string) string {
	base := "/ok/"
	if st.how == denied {
		base = "/no/"
	}
	if st.how == upstreamLeaves {
		more += "&break"
	}
	return fmt.Sprintf("https://%s%s%s?key=%x&size=%d%s", st.host, base, path, st.key, size, more)
}

func (s *soak) download(st *stream) {
	if st.host == "through.example" && st.how == denied {
		s.tunnel(st)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	size, more := st.random.IntN(200_000), ""
	if strings.HasPrefix(st.name, "events") {
		more = "&events"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, st.url("down", size, more), http.NoBody)
	if err != nil {
		s.fail("%v", err)
		return
	}
	resp, err := st.client.Do(req)
	if err != nil && st.how == upstreamLeaves {
		s.count(st)
		return
	}
	if err != nil {
		s.fail("%s, %d: %v", st.name, st.how, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if !s.admitted(st, resp) {
		return
	}
	body := io.Reader(resp.Body)
	if more != "" {
		body = eventReader(body)
	}
	if st.how == agentLeaves {
		_, _ = io.CopyN(io.Discard, body, int64(size/2))
		s.count(st)
		return
	}
	n, err := verify(body, st.key)
	switch {
	case errors.Is(err, errWrongByte), err == nil && (n != size || st.how == upstreamLeaves), err != nil && st.how == whole:
		s.fail("%s, %d: an answer of %d bytes ended after %d: %v", st.name, st.how, size, n, err)
	}
	s.count(st)
}

// admitted checks the status for how the stream goes, and says whether there is more to do.
func (s *soak) admitted(st *stream, resp *http.Response) bool {
	switch {
	case st.how == denied:
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusForbidden || err != nil || !bytes.Contains(text, []byte(`"rule_missing"`)) {
			s.fail("%s: a denied path was answered %d %.300s %v", st.name, resp.StatusCode, text, err)
		}
		s.count(st)
		return false
	case st.how == upstreamLeaves && resp.StatusCode == http.StatusBadGateway:
		s.count(st)
		return false
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusSwitchingProtocols:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		s.fail("%s, %d: answered %d %s", st.name, st.how, resp.StatusCode, text)
		return false
	}
	return true
}

func (s *soak) upload(st *stream) {
	size := 2 + st.random.IntN(100_000)
	body := newPattern(st.key, size)
	if st.how == agentLeaves {
		body.left, body.broken = size/2, true
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, st.url("up", size, ""), body)
	if err != nil {
		s.fail("%v", err)
		return
	}
	if st.random.IntN(2) == 0 {
		req.ContentLength = int64(size)
	}
	resp, err := st.client.Do(req)
	if err != nil {
		if st.how == whole || st.how == denied {
			s.fail("%s, %d: %v", st.name, st.how, err)
			return
		}
		s.count(st)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if st.how == agentLeaves { // answered before it noticed; half a request may be refused
		s.count(st)
		return
	}
	if !s.admitted(st, resp) {
		return
	}
	text, err := io.ReadAll(resp.Body)
	if st.how != whole || err != nil || string(text) != strconv.Itoa(size) {
		s.fail("%s, %d: an upload of %d bytes was answered %q %v", st.name, st.how, size, text, err)
	}
	s.count(st)
}

// echoesUntil is a WebSocket server that sends back what it gets; after two where it breaks.
func echoesUntil(w http.ResponseWriter, r *http.Request, breaks bool) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for n := 0; !breaks || n < 2; n++ {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

const messages = 6

func (s *soak) socket(st *stream) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, st.url("socket", 0, ""), &websocket.DialOptions{HTTPClient: st.client, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil && resp != nil {
		if s.admitted(st, resp) {
			s.fail("%s, %d: %v", st.name, st.how, err)
		}
		return
	}
	if err != nil {
		s.fail("%s, %d: %v", st.name, st.how, err)
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for n := range messages {
		said := make([]byte, st.random.IntN(20_000))
		_, _ = newPattern(st.key+uint64(n), len(said)).Read(said)
		if err = conn.Write(ctx, websocket.MessageBinary, said); err != nil {
			break
		}
		if st.how == agentLeaves && n == 2 {
			s.count(st)
			return
		}
		var got []byte
		if _, got, err = conn.Read(ctx); err != nil {
			break
		}
		if !bytes.Equal(got, said) {
			s.fail("%s, %d: a message came back wrong", st.name, st.how)
		}
	}
	if err == nil {
		err = conn.Close(websocket.StatusNormalClosure, "")
	}
	if (err == nil) != (st.how == whole) {
		s.fail("%s, %d: it ended with %v", st.name, st.how, err)
	}
	s.count(st)
}

// streamSocket asks for its WebSocket by extended CONNECT, and frames it by itself.
func (s *soak) streamSocket(st *stream) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
	defer cancel()
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodConnect, st.url("socket", 0, ""), r)
	if err != nil {
		s.fail("%v", err)
		return
	}
	req.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	resp, err := st.client.Do(req)
	if err != nil {
		s.fail("%s, %d: %v", st.name, st.how, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if !s.admitted(st, resp) {
		return
	}
	for n := range messages {
		said := make([]byte, st.random.IntN(125))
		_, _ = newPattern(st.key+uint64(n), len(said)).Read(said)
		if _, err = w.Write(message(2, said)); err != nil {
			break
		}
		if st.how == agentLeaves && n == 2 {
			s.count(st)
			return
		}
		got := make([]byte, 2+len(said))
		if _, err = io.ReadFull(resp.Body, got); err != nil {
			break
		}
		if !bytes.Equal(got[2:], said) {
			s.fail("%s, %d: a message came back wrong", st.name, st.how)
		}
	}
	if err == nil {
		goodbye := make([]byte, 4)
		_, _ = w.Write(message(8, []byte{3, 232}))
		_, err = io.ReadFull(resp.Body, goodbye)
	}
	if (err == nil) != (st.how == whole) {
		s.fail("%s, %d: it ended with %v", st.name, st.how, err)
	}
	s.count(st)
}

// database is the upstream of the tcp route. It is told how much it will get, and sends it back.
func (s *soak) database(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(6 * patience))
	br := bufio.NewReader(conn)
	line, err := br.ReadString('\n')
	if err != nil {
		return
	}
	var size int
	var breaks bool
	if _, err := fmt.Sscanf(line, "%d %t\n", &size, &breaks); err != nil {
		s.fail("the database was told %q", line)
		return
	}
	s.pause(context.Background(), uint64(size)*7_919_000)
	if breaks {
		_, _ = io.CopyN(conn, br, int64(size/2))
		_ = conn.(*net.TCPConn).SetLinger(0)
		return
	}
	_, _ = io.Copy(conn, br)
	_ = conn.(*net.TCPConn).CloseWrite()
}

// enter opens a tunnel to a host by one of three ways; no says that it was refused.
func (s *soak) enter(st *stream, host string, port uint16) (conn net.Conn, no bool, err error) {
	way := st.random.IntN(3)
	var dst netip.AddrPort
	if way == 2 {
		dst = netip.AddrPortFrom(synthetic(s.w.names.place(host)), port)
	}
	if conn, err = s.w.door.dial(dst); err != nil {
		return nil, false, err
	}
	_ = conn.SetDeadline(time.Now().Add(6 * patience))
	switch way {
	case 0:
		reply, err := socksConnect(conn, host, port)
		return conn, reply == socksDenied, err
	case 1:
		target := net.JoinHostPort(host, strconv.Itoa(int(port)))
		resp, err := exchange(conn, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n")
		return conn, err == nil && resp.StatusCode == http.StatusForbidden, err
	}
	if st.how == denied {
		_, err := conn.Read(make([]byte, 1))
		return conn, err != nil && !errors.Is(err, context.DeadlineExceeded), nil
	}
	return conn, false, nil
}

func (s *soak) tunnel(st *stream) {
	host := "db.example"
	if st.how == denied {
		host = "denied.example"
	}
	conn, no, err := s.enter(st, host, 5432)
	if err != nil || no != (st.how == denied) {
		s.fail("%s, %d: %v, refused: %t", st.name, st.how, err, no)
	}
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if st.how == denied {
		s.count(st)
		return
	}
	size := 2 + st.random.IntN(100_000)
	wrote := make(chan struct{})
	defer func() { _ = conn.Close(); <-wrote }()
	go func() {
		defer close(wrote)
		_, _ = fmt.Fprintf(conn, "%d %t\n", size, st.how == upstreamLeaves)
		_, _ = io.Copy(conn, newPattern(st.key, size))
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	if st.how == agentLeaves {
		_, _ = io.CopyN(io.Discard, conn, int64(size/2))
		_ = conn.(*net.TCPConn).SetLinger(0)
		s.count(st)
		return
	}
	n, err := verify(conn, st.key)
	if errors.Is(err, errWrongByte) || err == nil && n != size || (err == nil) != (st.how == whole) {
		s.fail("%s, %d: %d bytes ended after %d: %v", st.name, st.how, size, n, err)
	}
	s.count(st)
}
