package egress

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// serveH2 answers the streams of one HTTP/2 connection; every stream gets its own verdict.
func (s *Server) serveH2(ctx context.Context, base *agentConn, conn *tls.Conn, a *arrival) {
	base.patience(0) // a quiet connection is pinged instead
	var streams sync.WaitGroup
	defer streams.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = base.Close() })
	defer stop()
	idle := s.limits.Idle
	if a.full {
		idle = s.limits.FirstByteDeny
	}
	var broke atomic.Pointer[string]
	metered := s.meterH2(base, conn)
	server := &http2.Server{
		MaxConcurrentStreams: s.limits.Streams,
		MaxReadFrameSize:     maxFrame,
		CountError: func(kind string) {
			if !strings.HasPrefix(kind, "stream_") || strings.Contains(kind, "over_max_streams") {
				broke.CompareAndSwap(nil, &kind) // a stream's own end is no attack: both sides race to it
			}
		},
		IdleTimeout:      idle,
		ReadIdleTimeout:  30 * time.Second,
		PingTimeout:      15 * time.Second,
		WriteByteTimeout: s.limits.Stall,
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		streams.Add(1)
		defer streams.Done()
		s.stream(a, w, r)
	})
	server.ServeConn(metered, &http2.ServeConnOpts{
		Context:    ctx,
		Handler:    handler,
		BaseConfig: &http.Server{MaxHeaderBytes: headSlack * s.limits.HeaderBytes, ErrorLog: s.quietLog}, //nolint:gosec // HTTP/2 has no use for ReadHeaderTimeout; the limits set others
	})
	s.endedH2(ctx, a, metered, broke.Load(), idle)
}

// headSlack is how much longer than the limit a head may be to be answered by us, and not by the
// library.
const headSlack = 4

// maxFrame is the largest frame that is read; the smallest that RFC 9113 §4.2 allows to say.
const maxFrame = 16 << 10

// endedH2 records a connection that was ended for what the agent sent on it.
func (s *Server) endedH2(ctx context.Context, a *arrival, conn *h2Conn, broke *string, idle time.Duration) {
	quiet := s.deps.Now().UnixNano()-conn.heard.Load() >= int64(idle)
	switch {
	case conn.flooded.Load():
		s.limitedConnection(a, limited("streams", errFlood.Error()))
	case conn.slow.Load():
		s.limitedConnection(a, limited("head", "a head did not arrive in time"))
	case broke != nil:
		s.refusedConnection(a, "the HTTP/2 connection or a stream on it broke a rule: "+*broke)
	case ctx.Err() == nil && !conn.gone.Load() && !quiet:
		s.refusedConnection(a, "the HTTP/2 connection was given up for what was sent on it")
	}
}

// stream answers one stream. The library has refused a Host that differs from :authority.
func (s *Server) stream(a *arrival, w http.ResponseWriter, r *http.Request) {
	rq := requestH2(r)
	if headSize(len(r.RequestURI), rq.header) > s.limits.HeaderBytes || len(rq.header) > maxFields {
		s.tooLargeH2(a, w, r, rq)
		return
	}
	control := &streamControl{body: r.Body, w: http.NewResponseController(w)}
	defer control.over()
	ctx, cancel := s.bounded(r.Context(), func() {
		control.close(s.deps.Now().Add(time.Second)) // room for a refusal
	})
	defer cancel()
	x := s.handle(ctx, a, rq)
	var received int64
	var err error
	if x.response.upgraded != nil {
		received, err = x.webSocketH2(ctx, w, control)
	} else {
		received, err = writeH2(w, r, x, s)
	}
	x.finish(received, err)
	if err != nil {
		panic(http.ErrAbortHandler) // resets the stream; a truncated answer must not look whole
	}
}

// tooLargeH2 refuses a head past the limit.
func (s *Server) tooLargeH2(a *arrival, w http.ResponseWriter, r *http.Request, rq *request) {
	x := s.denied(a, rq, 431, limited("header_bytes", errHeadTooLarge.Error()))
	received, err := writeH2(w, r, x, s)
	x.finish(received, err)
}

// streamControl is how a stream is ended from beside its handler, for as long as that runs:
// afterwards the library has no stream to talk to.
type streamControl struct {
	body io.ReadCloser

	mu    sync.Mutex // guards what follows
	ended bool
	w     *http.ResponseController
}

func (c *streamControl) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

// close ends reading now and writing at t.
func (c *streamControl) close(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		_ = c.body.Close()
		_ = c.w.SetWriteDeadline(t)
	}
}

// until ends reading at t.
func (c *streamControl) until(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		_ = c.w.SetReadDeadline(t)
	}
}

func requestH2(r *http.Request) *request {
	rq := &request{proto: "h2", method: r.Method, authority: r.Host, target: r.RequestURI, length: r.ContentLength}
	rq.header = make(Header, 0, len(r.Header)+2)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) { // the same request looks the same each time
		values := r.Header[name]
		if name == "Cookie" && len(values) > 1 { // RFC 9113 §8.2.3
			values = []string{strings.Join(values, "; ")}
		}
		for _, value := range values {
			rq.header = append(rq.header, Field{name, value})
		}
	}
	if rq.length != 0 {
		rq.body = r.Body
		rq.abort = func() { _ = r.Body.Close() }
	}
	asWebSocket(rq, r)
	return rq
}

func writeH2(w http.ResponseWriter, r *http.Request, x *exchange, s *Server) (received int64, err error) {
	resp := x.response
	header := w.Header()
	for i := range resp.header {
		name := http.CanonicalHeaderKey(resp.header[i].Name)
		header[name] = append(header[name], resp.header[i].Value)
	}
	if resp.header.Count("Date") == 0 {
		header["Date"] = nil
	}
	if resp.header.Count("Content-Type") == 0 {
		header["Content-Type"] = nil // or the library guesses one
	}
	none := bodiless(r.Method, resp.status)
	if resp.length > 0 || resp.length == 0 && !none {
		header["Content-Length"] = []string{formatInt(resp.length)}
	}
	w.WriteHeader(resp.status)
	if none {
		return 0, nil
	}
	flush := http.NewResponseController(w).Flush
	if resp.headFirst() {
		if err := flush(); err != nil {
			return 0, err
		}
	}
	if resp.length != 0 {
		if received, err = s.copyAnswer(w, resp.body, resp.length, flush); err != nil {
			return received, err
		}
	}
	if resp.length >= 0 && received != resp.length {
		return received, errShort
	}
	if resp.trailer != nil {
		for _, field := range trailerFields(resp.trailer()) {
			header.Add(http.TrailerPrefix+field.Name, field.Value)
		}
	}
	return received, nil
}

// copyAnswer moves a response's body of a length, -1 where it is not known, and flushes what comes
// before its end. The end leaves with the last bytes.
func (s *Server) copyAnswer(w io.Writer, body io.Reader, length int64, flush func() error) (int64, error) {
	buf := s.buffers.get()
	defer s.buffers.put(buf)
	var total int64
	for {
		read := body.Read
		if total == length {
			read = func(p []byte) (int, error) { return readSoon(body, p, flush) }
		}
		n, err := read(*buf)
		if n > 0 {
			total += int64(n)
			if length >= 0 && total > length {
				return total, errTooLarge
			}
			if _, err := w.Write((*buf)[:n]); err != nil {
				return total, err
			}
		}
		if err == io.EOF { //nolint:errorlint // an end that something wraps is a failure
			return total, nil
		}
		if total != length || err != nil {
			if err := flush(); err != nil {
				return total, err
			}
		}
		if err != nil {
			return total, err
		}
	}
}

// readSoon reads the end that must follow, and flushes in the meantime where it does not at once.
func readSoon(r io.Reader, p []byte, flush func() error) (int, error) {
	flushed := make(chan error, 1)
	timer := time.AfterFunc(time.Millisecond, func() { flushed <- flush() })
	n, err := r.Read(p)
	if timer.Stop() {
		return n, err
	}
	if failed := <-flushed; failed != nil {
		return n, failed
	}
	return n, err
}
