package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// errStale says that a kept connection had been closed by the upstream before it saw the
// request, which may be sent again.
var errStale = errors.New("the kept connection was closed")

// errGivenUp ends an answer that came to an end because we closed its connection: an upstream
// that sees that may end its body properly, and it would look whole.
var errGivenUp = errors.New("the exchange was given up")

// inlineBody is the largest body that is read whole before it is sent, so that the round trip
// needs no second goroutine.
const inlineBody = 32 << 10

// h1conn is one HTTP/1 connection to an upstream, used by one exchange at a time.
type h1conn struct {
	net.Conn
	to      destination
	g       *generation
	s       *Server
	br      *bufio.Reader
	bw      *bufio.Writer
	scratch []byte
	since   time.Time // put back at
	used    bool
}

func (s *Server) newH1Conn(g *generation, to destination, raw net.Conn) *h1conn {
	return &h1conn{Conn: raw, to: to, g: g, s: s, br: bufio.NewReaderSize(raw, 8<<10), bw: bufio.NewWriterSize(raw, 8<<10)}
}

// quiet reports whether an idle connection is open and has nothing to say; bytes that nobody
// asked for would be read as the next answer.
func (c *h1conn) quiet() bool {
	if c.br.Buffered() > 0 {
		return false
	}
	sys, ok := socketOf(c.Conn)
	if !ok {
		return true
	}
	quiet := false
	err := sys.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN)
		return true
	})
	return err == nil && quiet
}

// roundTrip writes the request and reads the response's head. The connection is put back or
// closed by the response's body; on an error it is closed. errStale is returned only where
// nothing of the request's body was consumed that could not be sent again.
func (c *h1conn) roundTrip(ctx context.Context, rq *request) (*response, error) {
	used := c.used
	c.used = true
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	_ = c.SetDeadline(c.s.deps.Now().Add(c.s.limits.ResponseHead))
	send, err := c.write(rq)
	if err == nil {
		var resp *response
		resp, err = c.read(rq, send, stop)
		if err == nil && !send.failed() && ctx.Err() == nil { // an answer to the end of the connection is none
			return resp, nil
		}
	}
	stop()
	_ = c.Close()
	sendErr := send.finish(rq)
	if err == nil {
		err = sendErr
	}
	var blocked *Blocked
	switch {
	case errors.As(sendErr, &blocked), errors.As(err, &blocked):
		return nil, blocked
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case used && send == nil && c.br.Buffered() == 0 && closedEarly(err) && replayable(rq):
		return nil, errStale
	case errors.As(sendErr, new(*agentError)):
		return nil, sendErr
	case errors.As(err, new(*agentError)):
		return nil, err
	}
	return nil, &causeError{class(err, "protocol"), fmt.Errorf("cannot get an answer from %s: %w", c.to.host, err)}
}

// broken tells a body that the agent or an Inspector ended from an upstream that took no more.
func broken(err error) bool {
	return errors.As(err, new(*agentError)) || errors.As(err, new(*Blocked)) || errors.Is(err, errShort)
}

func closedEarly(err error) bool {
	return err == io.EOF || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) //nolint:errorlint // a bare EOF: not a byte of an answer
}

// replayable: a request without a body and without effect (RFC 9110 §9.2.2).
func replayable(rq *request) bool {
	if rq.length != 0 {
		return false
	}
	switch rq.method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE":
		return true
	}
	return false
}

// sending is a request body on its way beside the response. The nil value has been sent.
type sending struct {
	done chan struct{}
	err  error
	end  atomic.Bool
	lost atomic.Bool // set before the connection is closed for err
}

// failed reports whether the body broke off. An answer to half a request does not count.
func (s *sending) failed() bool { return s != nil && s.lost.Load() }

// finish ends the sending: what is still awaited of the agent is given up.
func (s *sending) finish(rq *request) error {
	if s == nil {
		return nil
	}
	if !s.complete() && rq.abort != nil {
		rq.abort()
	}
	<-s.done
	return s.err
}

func (s *sending) complete() bool { return s == nil || s.end.Load() }

// write sends the head, and the body where it is small; a larger one is sent beside the reading
// of the response, which may come before the body's end.
func (c *h1conn) write(rq *request) (*sending, error) {
	c.writeHead(rq)
	if rq.body == nil || rq.length == 0 {
		return nil, c.bw.Flush()
	}
	if rq.length > 0 && rq.length <= inlineBody {
		_, err := c.s.copyBody(c.bw, rq.body, nil)
		if err != nil {
			return nil, err
		}
		return nil, c.bw.Flush()
	}
	send := &sending{done: make(chan struct{})}
	go func() {
		defer close(send.done)
		if send.err = c.writeBody(rq); send.err != nil {
			send.lost.Store(broken(send.err))
			_ = c.Close()
			return
		}
		send.end.Store(true)
	}()
	return send, nil
}

func (c *h1conn) writeHead(rq *request) {
	w := c.bw
	_, _ = w.WriteString(rq.method)
	_ = w.WriteByte(' ')
	_, _ = w.WriteString(rq.target)
	_, _ = w.WriteString(" HTTP/1.1\r\nHost: ")
	_, _ = w.WriteString(rq.authority)
	_, _ = w.WriteString("\r\n")
	writeFields(w, rq.header)
	switch {
	case rq.websocket:
		_, _ = w.WriteString("Connection: Upgrade\r\nUpgrade: websocket\r\n")
	case rq.length < 0:
		_, _ = w.WriteString("Transfer-Encoding: chunked\r\n")
	case rq.length > 0 || rq.method == "POST" || rq.method == "PUT" || rq.method == "PATCH":
		_, _ = w.WriteString("Content-Length: " + strconv.FormatInt(rq.length, 10) + "\r\n")
	}
	_, _ = w.WriteString("\r\n")
}

func (c *h1conn) writeBody(rq *request) error {
	if rq.length >= 0 {
		n, err := c.s.copyBody(c.bw, rq.body, c.bw.Flush)
		if err == nil && n != rq.length {
			err = errShort
		}
		return err
	}
	chunks := &chunkWriter{c.bw}
	if _, err := c.s.copyBody(chunks, rq.body, c.bw.Flush); err != nil {
		return err
	}
	if err := chunks.close(nil); err != nil {
		return err
	}
	return c.bw.Flush()
}

// read takes the response's head, passing over interim ones.
func (c *h1conn) read(rq *request, send *sending, stop func() bool) (*response, error) {
	for {
		raw, err := readHead(c.br, c.scratch, c.s.limits.HeaderBytes, nil)
		if err != nil {
			return nil, err
		}
		c.scratch = raw[:0]
		start, header, err := parseHead(string(raw))
		if err != nil {
			return nil, err
		}
		status, minor, reason, err := parseStatusLine(start)
		if err != nil {
			return nil, err
		}
		if status == 101 {
			if !rq.websocket {
				return nil, errors.New("the upstream changed the protocol unasked")
			}
			stop()
			_ = c.SetDeadline(time.Time{})
			return &response{status: status, reason: reason, header: header, body: noBody{}, upgraded: c.upgraded()}, nil
		}
		if status < 200 {
			continue
		}
		return c.response(rq, status, minor, reason, header, send, stop)
	}
}

func (c *h1conn) response(rq *request, status, minor int, reason string, header Header, send *sending, stop func() bool) (*response, error) {
	length, none, err := bodyLength(header, minor)
	if err != nil {
		return nil, err
	}
	body := &h1body{conn: c, rq: rq, send: send, stop: stop}
	body.reusable = minor == 1 && !header.token("Connection", "close")
	resp := &response{status: status, reason: reason, header: header, length: length, body: body, begun: func() bool { return c.br.Buffered() > 0 }}
	switch {
	case bodiless(rq.method, status):
		body.r = noBody{}
		if none {
			resp.length = 0
		}
	case length < 0:
		chunks := &chunkedBody{br: c.br, limit: c.s.limits.HeaderBytes}
		body.r = chunks
		resp.trailer = func() Header { return chunks.trailer }
	case none:
		body.reusable = false
		body.r, resp.length = c.br, -1
	default:
		body.r = &sizedBody{c.br, length}
	}
	return resp, nil
}

// h1body is a response's body; its end gives the connection back.
type h1body struct {
	conn     *h1conn
	rq       *request
	r        io.Reader
	send     *sending
	stop     func() bool
	reusable bool
	ended    bool
	cut      bool // the exchange was given up before its end
	once     sync.Once
	pushed   time.Time // when the deadline was last set
}

func (b *h1body) Read(p []byte) (int, error) {
	if now := b.conn.s.deps.Now(); now.Sub(b.pushed) > time.Second {
		b.pushed = now
		_ = b.conn.SetDeadline(now.Add(b.conn.s.limits.Stall))
	}
	n, err := b.r.Read(p)
	if err == io.EOF {
		b.ended = true
		_ = b.Close() // before the agent has the last byte and asks again
		if b.cut {
			return n, errGivenUp
		}
	}
	return n, err
}

// Close puts the connection back where the whole exchange went by the book, else closes it.
func (b *h1body) Close() error {
	b.once.Do(func() {
		stopped := b.stop()
		b.cut = !stopped
		if sized, ok := b.r.(*sizedBody); ok && sized.n == 0 {
			b.ended = true
		}
		if _, ok := b.r.(noBody); ok {
			b.ended = true
		}
		if stopped && b.ended && b.reusable && b.send.complete() && b.conn.br.Buffered() == 0 {
			_ = b.send.finish(b.rq)
			b.conn.g.keep(b.conn, b.conn.s.limits.PooledPerRoute, b.conn.s.deps.Now())
			return
		}
		_ = b.conn.Close()
		_ = b.send.finish(b.rq)
	})
	return nil
}

// upgraded is the connection as one side of a WebSocket.
func (c *h1conn) upgraded() *peer {
	return &peer{
		Reader: c.br, Writer: c.Conn,
		until: func(t time.Time) { _ = c.SetReadDeadline(t) },
		close: func() { _ = c.Close() },
	}
}

type noBody struct{}

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }
func (noBody) Close() error             { return nil }

// socketOf finds the socket below TLS and our own wrappers.
func socketOf(conn net.Conn) (rawSocket, bool) {
	tcp := below(conn)
	if tcp == nil {
		return nil, false
	}
	sys, err := tcp.SyscallConn()
	return sys, err == nil
}

// reset closes so that the peer sees a connection that was cut, and no end.
func reset(conn net.Conn) {
	tcp := below(conn)
	if tcp == nil {
		_ = conn.Close()
		return
	}
	_ = tcp.SetLinger(0)
	_ = tcp.Close() // without a word of TLS
}

// below is the TCP connection under TLS and our own wrappers, or nil.
func below(conn net.Conn) *net.TCPConn {
	for {
		switch c := conn.(type) {
		case *tls.Conn:
			conn = c.NetConn()
		case *replayConn:
			conn = c.Conn
		case *agentConn:
			conn = c.Conn
		case *net.TCPConn:
			return c
		default:
			return nil
		}
	}
}
