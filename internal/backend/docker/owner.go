package docker

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
)

// answerLimit bounds how long a guest may take for one step when ctx has no earlier end.
const answerLimit = 30 * time.Second

// owner is this process's end of the agent's container. While it is open the bottle lives.
type owner struct {
	outside *mux.Session
	conn    net.Conn // the stream of messages
	said    *tail
}

// own speaks over the attached streams of a container that runs.
func own(attached net.Conn, said *tail) (*owner, error) {
	outside, err := mux.Host(attached)
	if err != nil {
		return nil, err
	}
	conn, err := outside.Open()
	if err != nil {
		_ = outside.Close()
		return nil, fmt.Errorf("cannot reach the guest: %w", err)
	}
	return &owner{outside: outside, conn: conn, said: said}, nil
}

func (o *owner) send(v any) error {
	return wire.NewConn(o.conn).SendJSON(wire.KindMessage, v)
}

// receive reads one message. The end of ctx ends it.
func (o *owner) receive(ctx context.Context, v any) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = o.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	kind, payload, err := wire.NewConn(o.conn).Receive()
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return o.why(err)
	case kind != wire.KindMessage:
		return wire.ErrFrame
	}
	return wire.Decode(payload, v)
}

// why adds to the end of a conversation what the guest said when it died.
func (o *owner) why(err error) error {
	if said := o.said.String(); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// lifeline is this process's end of the sidecar's container. Its first stream is the owner's;
// closing that, or the end of this process, ends the sidecar. Each further one is an operator's.
type lifeline struct {
	outside *mux.Session
	end     net.Conn // for the control client
	said    *tail
	over    <-chan struct{} // closed when the container's streams have ended
}

func hold(attached net.Conn, said *tail) (*lifeline, error) {
	outside, err := mux.Host(attached)
	if err != nil {
		return nil, err
	}
	first, err := outside.Open()
	if err != nil {
		_ = outside.Close()
		return nil, fmt.Errorf("cannot reach the sidecar: %w", err)
	}
	return &lifeline{outside: outside, end: ownerEnd{first}, said: said, over: outside.CloseChan()}, nil
}

// ownerEnd can be closed by whoever is first, also when the container is gone.
type ownerEnd struct{ net.Conn }

func (e ownerEnd) Close() error {
	_ = e.Conn.Close() // fails only where there is nothing left to close
	return nil
}

// why adds to a failure what the sidecar said, where it has ended.
func (l *lifeline) why(err error) error {
	select {
	case <-l.over:
		return fmt.Errorf("%w: its sidecar ended: %s", err, l.said)
	default:
		return err
	}
}

// close asks the sidecar to end, which it does when its log is written.
func (l *lifeline) close() { _ = l.end.Close() }

// cut ends the streams without asking.
func (l *lifeline) cut() { _ = l.outside.Close() }

// tail keeps// tail keeps the end of what a container says.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > tailSize {
		t.text = append([]byte(nil), t.text[len(t.text)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
