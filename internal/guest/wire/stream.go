package wire

import (
	"errors"
	"io"
)

// chunk is the size of a Data frame.
const chunk = 64 << 10

// NewReader reads a stream of Data frames; it ends with the frame that says that the stream is
// whole, and anything else is an error: half a stream is never taken for a whole one.
func NewReader(c *Conn) io.Reader { return &reader{conn: c} }

type reader struct {
	conn *Conn
	rest []byte
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil {
		r.fill()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *reader) fill() {
	kind, payload, err := r.conn.Receive()
	switch {
	case errors.Is(err, io.EOF):
		r.err = io.ErrUnexpectedEOF
	case err != nil:
		r.err = err
	case kind == KindData:
		r.rest = payload
	case kind == KindDataEnd:
		r.err = io.EOF
	case kind == KindFailure:
		var failure Failure
		if err := Decode(payload, &failure); err != nil {
			r.err = err
			return
		}
		r.err = &failure
	default:
		r.err = ErrFrame
	}
}

// NewWriter writes a stream as Data frames; the caller sends DataEnd when it is whole.
func NewWriter(c *Conn) io.Writer { return writer{c} }

type writer struct{ conn *Conn }

func (w writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		part := p[:min(len(p), chunk)]
		if err := w.conn.Send(KindData, part); err != nil {
			return n, err
		}
		n += len(part)
		p = p[len(part):]
	}
	return n, nil
}
