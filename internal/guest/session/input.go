package session

import (
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// endOfTransmission is what a terminal reads as the end of input.
const endOfTransmission = 4

// input feeds a command from a connection. Bytes wait in a queue of their own, so that signals
// and the end pass them by.
type input struct {
	conn  *wire.Conn
	cmd   *command
	owner bool        // of the command, not one who joined
	queue chan []byte // nil marks the end of the input
}

func newInput(c *wire.Conn, cmd *command, owner bool) *input {
	return &input{conn: c, cmd: cmd, owner: owner, queue: make(chan []byte, wire.Window+1)}
}

// serve runs until the connection ends or breaks its rules.
func (in *input) serve() {
	defer close(in.queue)
	go in.write()
	for {
		kind, payload, err := in.conn.Receive()
		if err != nil || !in.handle(kind, payload) {
			return
		}
	}
}

func (in *input) handle(kind wire.Kind, payload []byte) bool {
	switch kind {
	case wire.KindStdin:
		return in.enqueue(append([]byte{}, payload...))
	case wire.KindStdinEnd:
		return in.enqueue(nil)
	case wire.KindResize:
		if rows, cols, err := wire.DecodeSize(payload); err == nil {
			in.cmd.resize(rows, cols)
		}
	case wire.KindSignal:
		_ = in.cmd.signal(string(payload))
	case wire.KindCancel:
		if in.owner {
			go in.cmd.end()
		}
	default:
		return false
	}
	return true
}

// enqueue fails for a client that sends more than its window.
func (in *input) enqueue(p []byte) bool {
	select {
	case in.queue <- p:
		return true
	default:
		return false
	}
}

func (in *input) write() {
	for p := range in.queue {
		if p == nil {
			in.end()
			continue
		}
		if in.cmd.stdin != nil {
			if _, err := in.cmd.stdin.Write(p); err != nil && in.cmd.tty == nil {
				_ = in.cmd.stdin.Close() // the command reads no more; that is its choice
			}
		}
		if in.conn.Send(wire.KindCredit, nil) != nil {
			return
		}
	}
}

func (in *input) end() {
	switch {
	case in.cmd.stdin == nil:
	case in.cmd.tty == nil:
		_ = in.cmd.stdin.Close()
	case in.owner:
		_, _ = in.cmd.tty.Write([]byte{endOfTransmission})
	}
}
