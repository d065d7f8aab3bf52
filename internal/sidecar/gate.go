package sidecar

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	mcptools "github.com/bot-bottle/bot-bottle/internal/service/supervise"
)

// A connection to the status socket that begins with wire.GateGreeting is no operator's: it is the
// process of the git gate, which proves it with the word that only its owner knows.

// greetingTime is how long a client may take for its first bytes.
const greetingTime = 10 * time.Second

// prefixed gives back the byte that was read to tell who connects.
type prefixed struct {
	net.Conn

	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// tell reads the first byte of a client. joined is true where it was the gate's, whose connection
// has then ended.
func (p *process) tell(ctx context.Context, conn net.Conn) (operator net.Conn, joined bool) {
	want := p.gateWord.Load()
	if want == nil {
		return conn, false
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		_ = conn.Close()
		return nil, true
	}
	if first[0] != wire.GateGreeting {
		return &prefixed{conn, first}, false
	}
	word := make([]byte, len(*want))
	_ = conn.SetReadDeadline(time.Now().Add(greetingTime))
	_, err := io.ReadFull(conn, word)
	_ = conn.SetReadDeadline(time.Time{})
	if err != nil || subtle.ConstantTimeCompare(word, []byte(*want)) != 1 {
		_ = conn.Close()
		return nil, true
	}
	p.gateLink(ctx, conn)
	return nil, true
}

// gateLink serves the gate until it ends, which is the end of the sidecar.
func (p *process) gateLink(ctx context.Context, conn net.Conn) {
	session, err := mux.Guest(conn)
	if err != nil || !p.gate.CompareAndSwap(nil, session) {
		_ = conn.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = session.Close() })
	defer stop()
	var streams sync.WaitGroup
	defer streams.Wait()
	for {
		stream, err := session.Accept()
		if err != nil {
			p.end(errors.New("cannot go on without the git gate: it has ended"))
			return
		}
		streams.Go(func() { p.hear(ctx, stream) })
	}
}

// hear takes the messages of one stream of the gate: events, and at most one question.
func (p *process) hear(ctx context.Context, stream net.Conn) {
	defer stream.Close()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	in := json.NewDecoder(stream)
	for {
		var m wire.GateMessage
		if err := in.Decode(&m); err != nil {
			return
		}
		switch {
		case m.Event != nil:
			var e audit.Event
			if err := json.Unmarshal(m.Event, &e); err != nil {
				return
			}
			e.Kind, e.Layer, e.Host, e.Port = "git", "git-gate", plan.GateHost, 80
			p.counted.Record(e)
		case m.Question != nil:
			p.asked(ctx, stream, m.Question)
			return
		}
	}
}

// asked answers a question, unless the gate gives it up by ending the stream.
func (p *process) asked(ctx context.Context, stream net.Conn, question json.RawMessage) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, stream)
	}()
	_ = json.NewEncoder(stream).Encode(p.question(ctx, question))
}

// question puts what the gate asks to the operator.
func (p *process) question(ctx context.Context, raw json.RawMessage) wire.GateReply {
	var q ask.Question
	err := json.Unmarshal(raw, &q)
	if err == nil && q.Kind != ask.Push {
		err = fmt.Errorf("the gate does not ask about a %s", q.Kind)
	}
	desk := p.desk.Load()
	if err == nil && desk == nil {
		err = notConfigured()
	}
	var answer ask.Answer
	if err == nil {
		answer, err = desk.Ask(ctx, q)
		if err != nil || answer.Verdict != ask.Approved {
			p.pushes.add(q)
		}
	}
	if err != nil {
		return wire.GateReply{Problem: err.Error()}
	}
	out, err := json.Marshal(answer)
	if err != nil {
		return wire.GateReply{Problem: err.Error()}
	}
	return wire.GateReply{Answer: out}
}

// peers are the names in the bottle that other processes answer for.
func (p *process) peers(tools *mcptools.Server) map[string]egress.Peer {
	peers := map[string]egress.Peer{}
	if tools != nil {
		peers[plan.SuperviseHost], peers[plan.SuperviseHost+".local"] = tools.Dial, tools.Dial
	}
	if p.gateWord.Load() == nil {
		return peers
	}
	dial := func(context.Context) (net.Conn, error) {
		session := p.gate.Load()
		if session == nil {
			return nil, errors.New("cannot reach the git gate: it has not joined yet")
		}
		return session.Open()
	}
	peers[plan.GateHost] = dial
	return peers
}
