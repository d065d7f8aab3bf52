package egress

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// asWebSocket turns an extended CONNECT for a WebSocket (RFC 8441 §4) into the request that it
// would be over HTTP/1, so that both are decided on alike. Any other CONNECT stays one, and is
// refused as such.
func asWebSocket(rq *request, r *http.Request) {
	protocol := r.Header[":protocol"]
	if r.Method != http.MethodConnect || len(protocol) != 1 || !strings.EqualFold(protocol[0], "websocket") || rq.header.Get("Sec-WebSocket-Version") != "13" {
		return
	}
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	rq.header = slices.DeleteFunc(rq.header, func(f Field) bool {
		return f.Name == ":protocol" || strings.EqualFold(f.Name, "Sec-WebSocket-Key")
	})
	rq.header = append(rq.header, Field{"Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(key[:])})
	rq.method, rq.websocket = http.MethodGet, true
	rq.body, rq.length, rq.abort = nil, 0, nil
}

// webSocketH2 answers a stream that became a WebSocket and relays its frames.
func (x *exchange) webSocketH2(ctx context.Context, w http.ResponseWriter, control *streamControl) (received int64, err error) {
	for _, field := range x.response.header {
		w.Header().Add(field.Name, field.Value)
	}
	if x.response.header.Count("Date") == 0 {
		w.Header()["Date"] = nil
	}
	w.WriteHeader(http.StatusOK)
	flush := control.w.Flush
	if err := flush(); err != nil {
		x.response.upgraded.close()
		return 0, err
	}
	return x.relayWebSocket(ctx, &peer{
		Reader: control.body, Writer: &flushed{w, flush}, h2: true,
		until: control.until, close: func() { control.close(time.Unix(1, 0)) },
	})
}

// flushed is a writer that holds nothing back.
type flushed struct {
	io.Writer
	flush func() error
}

func (f *flushed) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err == nil {
		err = f.flush()
	}
	return n, err
}

// openWebSocketH2 asks an upstream that speaks nothing but HTTP/2 for a WebSocket.
func (s *Server) openWebSocketH2(ctx context.Context, conn *h2conn, to destination, rq *request) (*response, error) {
	asked := *rq
	asked.header = slices.DeleteFunc(slices.Clone(rq.header), func(f Field) bool { return strings.EqualFold(f.Name, "Sec-WebSocket-Key") })
	out, err := outgoingH2(ctx, &asked)
	if err != nil {
		return nil, &causeError{"protocol", err}
	}
	read, write := io.Pipe()
	out.Method, out.Body, out.ContentLength = http.MethodConnect, read, -1
	out.Header[":protocol"] = []string{"websocket"}
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(s.limits.ResponseHead, cancel)
	in, err := conn.cc.RoundTrip(out.WithContext(ctx))
	late := !timer.Stop()
	if err != nil {
		cancel()
		_ = write.Close()
		return nil, h2Failure(to, err, late)
	}
	resp := &response{status: in.StatusCode, length: in.ContentLength, header: fieldsOf(in.Header), body: &h2body{in.Body, cancel}}
	if in.StatusCode < 200 || in.StatusCode > 299 {
		_ = write.Close()
		return resp, nil
	}
	resp.status, resp.length, resp.body = 101, 0, noBody{}
	end := func() {
		cancel()
		_ = write.CloseWithError(errors.New("the WebSocket has ended"))
		_ = in.Body.Close()
	}
	resp.upgraded = &peer{
		Reader: in.Body, Writer: write, close: end, h2: true,
		done:  func() { _ = write.Close() },
		until: func(t time.Time) { time.AfterFunc(t.Sub(s.deps.Now()), end) },
	}
	return resp, nil
}
