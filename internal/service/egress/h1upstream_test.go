package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// lateAnswer answers only when it is closed, as an upstream may that sees a body break off.
type lateAnswer struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
	answer *strings.Reader
}

func (c *lateAnswer) Write(p []byte) (int, error)     { return len(p), nil }
func (c *lateAnswer) SetDeadline(time.Time) error     { return nil }
func (c *lateAnswer) SetReadDeadline(time.Time) error { return nil }
func (c *lateAnswer) Close() error                    { c.once.Do(func() { close(c.closed) }); return nil }
func (c *lateAnswer) Read(p []byte) (int, error)      { <-c.closed; return c.answer.Read(p) }

type brokenBody struct{ cause error }

func (b brokenBody) Read([]byte) (int, error) { return 0, b.cause }

func TestAnAnswerToHalfARequestDoesNotCount(t *testing.T) {
	for name, cause := range map[string]error{"the agent broke off": errChunk, "an inspector broke off": &Blocked{Reason: "x"}} {
		s := &Server{limits: Limits{}.withDefaults()}
		s.deps.Now = time.Now
		conn := &lateAnswer{closed: make(chan struct{}), answer: strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}
		rq := &request{method: "POST", target: "/", authority: "a.example", length: -1, body: brokenBody{cause}}
		resp, err := s.newH1Conn(newGeneration(nil), destination{host: "a.example"}, conn).roundTrip(context.Background(), rq)
		if err == nil || !errors.Is(err, cause) {
			t.Errorf("%s: %+v %v", name, resp, err)
		}
	}
}

// endsWhenClosed gives its answer, and no more until it is closed; then it looks as if it had ended.
type endsWhenClosed struct{ lateAnswer }

func (c *endsWhenClosed) Read(p []byte) (int, error) {
	if n, err := c.answer.Read(p); err == nil {
		return n, nil
	}
	<-c.closed
	return 0, io.EOF
}

func TestAnAnswerThatWeCutIsNotWhole(t *testing.T) {
	s := &Server{limits: Limits{}.withDefaults()}
	s.deps.Now = time.Now
	conn := &endsWhenClosed{lateAnswer{closed: make(chan struct{}), answer: strings.NewReader("HTTP/1.1 200 OK\r\n\r\nhalf")}}
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := s.newH1Conn(newGeneration(nil), destination{host: "a.example"}, conn).roundTrip(ctx, &request{method: "GET", target: "/", authority: "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if got, err := io.ReadAll(resp.body); err == nil {
		t.Errorf("%q looks whole", got)
	}
}

// HelloWithECH is a ClientHello for name that offers encrypted_client_hello.
func HelloWithECH(t testing.TB, name string) []byte {
	t.Helper()
	return withExtension(helloFor(t, name), 0xfe0d, []byte{0})
}
