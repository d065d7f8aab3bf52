package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// h2conn is one HTTP/2 connection to an upstream, shared by the exchanges of one destination.
type h2conn struct {
	cc   *http2.ClientConn
	conn net.Conn
}

func (s *Server) newH2Conn(g *generation, to destination, raw net.Conn) (*h2conn, error) {
	transport := &http2.Transport{
		DisableCompression: true,
		MaxHeaderListSize:  uint32(s.limits.HeaderBytes),
		IdleConnTimeout:    s.limits.PooledIdle,
		ReadIdleTimeout:    30 * time.Second,
		PingTimeout:        15 * time.Second,
		WriteByteTimeout:   s.limits.Stall,
	}
	cc, err := transport.NewClientConn(raw)
	if err != nil {
		_ = raw.Close()
		return nil, &causeError{class(err, "protocol"), fmt.Errorf("cannot speak HTTP/2 to %s: %w", to.host, err)}
	}
	conn := &h2conn{cc, raw}
	cc.ReserveNewRequest() // ours, before others take it for theirs or it counts as idle
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.retired {
		g.streams[to] = append(g.streams[to], conn)
	}
	return conn, nil
}

// stream returns a connection with room for one more stream, which it reserves, or nil.
func (g *generation) stream(to destination) *h2conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range g.living(to) {
		if conn.cc.ReserveNewRequest() {
			return conn
		}
	}
	return nil
}

// living forgets the connections that have ended, and returns the others. The caller holds g.mu.
func (g *generation) living(to destination) []*h2conn {
	alive := slices.DeleteFunc(g.streams[to], func(conn *h2conn) bool { return conn.cc.State().Closed })
	if len(alive) == 0 {
		delete(g.streams, to)
		return nil
	}
	g.streams[to] = alive
	return alive
}

// finish lets the streams that are open end, and takes no more.
func (c *h2conn) finish() {
	c.cc.SetDoNotReuse()
	if c.cc.State().StreamsActive == 0 {
		_ = c.cc.Close()
	}
}

func (s *Server) roundTripH2(ctx context.Context, conn *h2conn, to destination, rq *request) (*response, error) {
	out, err := outgoingH2(ctx, rq)
	if err != nil {
		return nil, &causeError{"protocol", err}
	}
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(s.limits.ResponseHead, cancel)
	in, err := conn.cc.RoundTrip(out.WithContext(ctx))
	late := !timer.Stop()
	if err != nil {
		cancel()
		return nil, h2Failure(to, err, late)
	}
	resp := &response{status: in.StatusCode, length: in.ContentLength, body: &h2body{in.Body, cancel}}
	for name, values := range in.Header {
		for _, value := range values {
			resp.header = append(resp.header, Field{name, value})
		}
	}
	resp.trailer = func() Header { return fieldsOf(in.Trailer) }
	return resp, nil
}

func h2Failure(to destination, err error, late bool) error {
	if blocked := (*Blocked)(nil); errors.As(err, &blocked) {
		return blocked
	}
	if neverSent(err) {
		return errStale
	}
	kind := class(err, "protocol")
	if late {
		kind = "timeout"
	}
	return &causeError{kind, fmt.Errorf("cannot get an answer from %s: %w", to.host, err)}
}

// neverSent reports whether a connection had ended before it took the request, of which then
// nothing was read. The library has no names for these errors.
func neverSent(err error) bool {
	switch err.Error() {
	case "http2: client conn could not be established", "http2: client conn not usable", "http2: client conn is closed":
		return true
	}
	return false
}

func outgoingH2(ctx context.Context, rq *request) (*http.Request, error) {
	// The target is canonical: parsing it keeps every byte of it.
	target, err := url.ParseRequestURI(rq.target)
	if err != nil {
		return nil, errors.New("cannot carry the request target over HTTP/2")
	}
	target.Scheme, target.Host = "https", rq.authority
	if rest, ok := strings.CutPrefix(rq.target, "//"); ok || target.RequestURI() != rq.target {
		// net/url would write it otherwise; opaque forms are sent as they are.
		target = &url.URL{Scheme: "https", Host: rq.authority, Opaque: rq.target}
		if ok {
			target.Opaque = "//" + rest
		}
	}
	out := &http.Request{
		Method: rq.method, URL: target, Host: rq.authority, Header: http.Header{},
		Proto: "HTTP/2.0", ProtoMajor: 2, ContentLength: max(rq.length, -1),
	}
	for i := range rq.header {
		name := http.CanonicalHeaderKey(rq.header[i].Name)
		out.Header[name] = append(out.Header[name], rq.header[i].Value)
	}
	if rq.header.Count("User-Agent") == 0 {
		out.Header["User-Agent"] = nil // or the library adds its own
	}
	if rq.body != nil && rq.length != 0 {
		out.Body = io.NopCloser(rq.body)
	}
	return out.WithContext(ctx), nil
}

// h2body ends its stream when it is closed.
type h2body struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *h2body) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

func fieldsOf(h http.Header) Header {
	var fields Header
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			fields = append(fields, Field{name, value})
		}
	}
	return fields
}
