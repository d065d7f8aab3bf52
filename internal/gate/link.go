//go:build linux

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
)

// sidecar is the other end, as the gate sees it: where events and questions go.
type sidecar struct {
	session *mux.Session

	mu  sync.Mutex // guards log
	log net.Conn
}

// Record implements audit.Sink. What cannot be recorded must not happen: the link ends, and the
// gate with it.
func (s *sidecar) Record(e audit.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.log == nil {
		s.log, err = s.session.Open()
	}
	if err == nil {
		var line []byte
		if line, err = json.Marshal(e); err == nil {
			err = json.NewEncoder(s.log).Encode(wire.GateMessage{Event: line})
		}
	}
	if err != nil {
		_ = s.session.Close()
	}
}

// Ask implements ask.Asker: a stream for each question.
func (s *sidecar) Ask(ctx context.Context, q ask.Question) (ask.Answer, error) {
	conn, err := s.session.Open()
	if err != nil {
		return ask.Answer{}, fmt.Errorf("cannot ask: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var r wire.GateReply
	var answer ask.Answer
	question, err := json.Marshal(q)
	if err == nil {
		err = json.NewEncoder(conn).Encode(wire.GateMessage{Question: question})
	}
	if err == nil {
		err = json.NewDecoder(conn).Decode(&r)
	}
	if err == nil && r.Problem != "" {
		err = errors.New(r.Problem)
	}
	if err == nil {
		err = json.Unmarshal(r.Answer, &answer)
	}
	if err != nil {
		return ask.Answer{}, fmt.Errorf("cannot ask: %w", err)
	}
	return answer, nil
}
