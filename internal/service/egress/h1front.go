package egress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// drainLimit and drainTime bound what is read of a refused request's body, so that the agent
// reads the refusal instead of a reset.
const (
	drainLimit = 256 << 10
	drainTime  = 2 * time.Second
)

// front speaks HTTP/1 with the agent on one connection.
type front struct {
	s       *Server
	base    *agentConn
	conn    net.Conn // base, or TLS on it
	br      *bufio.Reader
	bw      *bufio.Writer
	scratch []byte
	served  bool // at least one request was answered
}

func (s *Server) newFront(base *agentConn, conn net.Conn) *front {
	return &front{s: s, base: base, conn: conn, br: bufio.NewReaderSize(conn, 4<<10), bw: bufio.NewWriterSize(conn, 8<<10)}
}

// incoming is a parsed request head with its body, before anything is decided.
type incoming struct {
	line      requestLine
	header    Header
	length    int64
	body      *agentBody // nil where there is none
	keepAlive bool
}

// next reads one request. io.EOF means that the agent has ended the connection properly.
func (f *front) next() (*incoming, error) {
	f.base.until(time.Time{})
	f.base.patience(f.s.limits.Idle)
	if _, err := f.br.Peek(1); err != nil {
		return nil, io.EOF
	}
	f.base.until(f.s.deps.Now().Add(f.s.limits.Head))
	raw, err := readHead(f.br, f.scratch, f.s.limits.HeaderBytes, beginsRequest)
	if err != nil {
		return nil, err
	}
	f.base.until(time.Time{})
	f.base.patience(f.s.limits.Stall)
	f.scratch = raw[:0]
	return f.parse(string(raw))
}

func beginsRequest(line string) error {
	_, err := parseRequestLine(line)
	return err
}

func (f *front) parse(head string) (*incoming, error) {
	start, header, err := parseHead(head)
	if err != nil {
		return nil, err
	}
	line, err := parseRequestLine(start)
	if err != nil {
		return nil, err
	}
	length, _, err := bodyLength(header, line.minor)
	if err != nil {
		return nil, err
	}
	if expect := header.Values("Expect"); len(expect) > 1 || len(expect) == 1 && !strings.EqualFold(expect[0], "100-continue") {
		return nil, errExpect
	}
	in := &incoming{line: line, header: header, length: length}
	in.keepAlive = line.minor == 1 && !header.token("Connection", "close")
	switch {
	case length > 0:
		in.body = &agentBody{r: &sizedBody{f.br, length}}
	case length < 0:
		in.body = &agentBody{r: &chunkedBody{br: f.br, strict: true, limit: f.s.limits.HeaderBytes}}
	}
	return in, nil
}

// agentBody is the body as the agent sends it; ended says whether it was read to its end.
type agentBody struct {
	r     io.Reader
	ended atomic.Bool
}

func (b *agentBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		b.ended.Store(true)
	}
	return n, err
}

// serve answers requests until the connection ends. resolve tells what each one is for.
func (f *front) serve(ctx context.Context, a *arrival) {
	for ctx.Err() == nil {
		in, err := f.next()
		if err == nil {
			err = f.checkHost(in)
		}
		if err != nil {
			f.malformed(a, err)
			return
		}
		answer := f.one
		if !a.tls && hostOnly(in.header.Get("Host")) == policy.InternalHost {
			answer = func(ctx context.Context, _ *arrival, in *incoming) bool { return f.page(ctx, in) }
		}
		if !answer(ctx, a, in) {
			return
		}
	}
}

// checkHost is RFC 9112 §3.2: exactly one Host.
func (f *front) checkHost(in *incoming) error {
	if in.header.Count("Host") != 1 {
		return errors.New("there is not exactly one Host")
	}
	return nil
}

// malformed answers what is no request, where something came at all.
func (f *front) malformed(a *arrival, err error) {
	var timeout net.Error
	if err == io.EOF || errors.As(err, &timeout) && !timeout.Timeout() { //nolint:errorlint // a bare EOF: nothing came
		return
	}
	status, r := 400, malformed(err.Error())
	switch {
	case errors.Is(err, errHeadTooLarge), errors.Is(err, errFieldCount):
		status, r = 431, limited("header_bytes", err.Error())
	case errors.As(err, &timeout):
		status, r = 408, limited("head", "the head did not arrive in time")
	case errors.Is(err, errExpect):
		status = 417
	}
	r.Host, r.Port = a.name, a.port
	if r.Layer == policy.LayerLimit {
		f.s.limitedConnection(a, r)
	} else {
		f.s.refusedConnection(a, "malformed request: "+err.Error())
	}
	_, _ = f.write(&incoming{line: requestLine{method: "GET", minor: 1}}, r.response(status), false)
	f.drain(f.br)
}

// one answers one request and reports whether the connection can carry another.
func (f *front) one(ctx context.Context, a *arrival, in *incoming) bool {
	ctx, cancel := f.s.bounded(ctx, func() {
		f.base.until(time.Unix(1, 0))
		_ = f.base.SetWriteDeadline(f.s.deps.Now().Add(time.Second)) // room for a refusal
	})
	in.keepAlive = in.keepAlive && !a.full
	f.s.waiting.add(f.base, cancel)
	defer f.s.waiting.remove(f.base)
	defer cancel()
	return f.answer(ctx, in, f.s.handle(ctx, a, f.request(in)))
}

func (f *front) answer(ctx context.Context, in *incoming, x *exchange) bool {
	f.served = true
	keep := in.keepAlive && (in.body == nil || in.body.ended.Load() || x.response.status < 300)
	if x.response.upgraded != nil {
		defer func() { _ = f.base.Close() }()
		if err := f.writeSwitch(in, x.response); err != nil {
			x.response.upgraded.close()
			x.finish(0, err)
			return false
		}
		f.base.unbounded()
		received, err := x.relayWebSocket(ctx, &peer{
			Reader: f.br, Writer: f.conn, until: f.base.until, close: func() { _ = f.base.Close() },
		})
		x.finish(received, err)
		return false
	}
	received, err := f.write(in, x.response, keep)
	x.finish(received, err)
	if err != nil {
		f.base.reset() // a truncated answer must not look whole
		return false
	}
	if in.body != nil && !in.body.ended.Load() {
		f.drain(in.body)
	}
	return keep && (in.body == nil || in.body.ended.Load())
}

func (f *front) request(in *incoming) *request {
	rq := &request{
		proto: "http/1.1", method: in.line.method, authority: in.header.Get("Host"), target: in.line.target,
		header: in.header, length: in.length,
	}
	if in.body != nil {
		rq.body = in.body
		rq.abort = func() { f.base.until(time.Unix(1, 0)) }
	}
	rq.websocket = in.length == 0 && wantsWebSocket(in.line, in.header)
	if in.body != nil && in.line.minor == 1 && in.header.token("Expect", "100-continue") {
		rq.proceed = func() error {
			_, _ = f.bw.WriteString("HTTP/1.1 100 Continue\r\n\r\n")
			return f.bw.Flush()
		}
	}
	return rq
}

// drain reads what the agent still sends, within bounds, before the connection is closed.
func (f *front) drain(r io.Reader) {
	f.base.until(f.s.deps.Now().Add(drainTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(r, drainLimit))
}

// write sends a response; every piece of its body leaves as it comes. received counts the body.
func (f *front) write(in *incoming, resp *response, keep bool) (received int64, err error) {
	w := f.bw
	f.writeStatus(resp)
	none := bodiless(in.line.method, resp.status)
	chunked := !none && resp.length < 0 && in.line.minor == 1
	switch {
	case none && resp.length > 0:
		_, _ = w.WriteString("Content-Length: " + strconv.FormatInt(resp.length, 10) + "\r\n")
	case none:
	case chunked:
		_, _ = w.WriteString("Transfer-Encoding: chunked\r\n")
	case resp.length >= 0:
		_, _ = w.WriteString("Content-Length: " + strconv.FormatInt(resp.length, 10) + "\r\n")
	default:
		keep = false
	}
	if !keep {
		_, _ = w.WriteString("Connection: close\r\n")
	}
	_, _ = w.WriteString("\r\n")
	if none {
		return 0, w.Flush()
	}
	return f.writeBody(resp, chunked)
}

func (f *front) writeStatus(resp *response) {
	w := f.bw
	_, _ = w.WriteString("HTTP/1.1 ")
	_, _ = w.WriteString(strconv.Itoa(resp.status))
	_ = w.WriteByte(' ')
	reason := resp.reason
	if reason == "" { // HTTP/2 has none, and clients show it
		reason = http.StatusText(resp.status)
	}
	_, _ = w.WriteString(reason)
	_, _ = w.WriteString("\r\n")
	writeFields(w, resp.header)
}

func (f *front) writeBody(resp *response, chunked bool) (received int64, err error) {
	w := f.bw
	if resp.length == 0 {
		return 0, w.Flush()
	}
	var dst io.Writer = w
	chunks := &chunkWriter{w}
	if chunked {
		dst = chunks
	}
	if resp.headFirst() {
		if err := w.Flush(); err != nil {
			return 0, err
		}
	}
	if received, err = f.s.copyAnswer(dst, resp.body, resp.length, w.Flush); err != nil {
		return received, err
	}
	if resp.length >= 0 && received != resp.length {
		return received, errShort
	}
	if chunked {
		var trailer Header
		if resp.trailer != nil {
			trailer = trailerFields(resp.trailer())
		}
		if err := chunks.close(trailer); err != nil {
			return received, err
		}
	}
	return received, w.Flush()
}

// writeSwitch passes a validated handshake on.
func (f *front) writeSwitch(in *incoming, resp *response) error {
	resp.reason = ""
	f.writeStatus(resp)
	_, _ = f.bw.WriteString("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + acceptKey(in.header.Get("Sec-WebSocket-Key")) + "\r\n\r\n")
	return f.bw.Flush()
}

// hostOnly is the host of an authority in lower case, for routing to the internal pages.
func hostOnly(authority string) string {
	host, _, err := splitAuthority(strings.ToLower(authority))
	if err != nil {
		return ""
	}
	return host
}
