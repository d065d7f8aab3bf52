// Package wire is the language between a backend and the guest inside its bottle.
//
// Its one rule: whatever arrives may come from a liar, so a frame is bounded before it is read and
// strict to decode.
package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Kind tells what a frame carries.
type Kind byte

// The kinds of frames. A session is one connection: the client's first frame is a Request, and the
// guest's last one is Exit or Failure.
const (
	KindRequest  Kind = iota + 1 // Request as JSON
	KindStdin                    // bytes for the command
	KindStdinEnd                 // the command's input is over
	KindResize                   // rows and columns, two bytes each
	KindSignal                   // a signal's name without SIG
	KindCancel                   // end the command: TERM, later KILL
	KindStarted                  // the command runs
	KindStdout                   // bytes of the command
	KindStderr                   // bytes of the command
	KindExit                     // Exit as JSON; all output came before it
	KindFailure                  // Failure as JSON
	KindData                     // bytes of a tar stream
	KindDataEnd                  // the tar stream is whole
	KindCredit                   // one Stdin frame was consumed
	KindMessage                  // one JSON value between a guest and its owner
	lastKind
)

// MaxPayload bounds a frame; a longer one ends the connection.
const MaxPayload = 1 << 20

const headerSize = 5

// ErrFrame is returned for bytes that are no frame.
var ErrFrame = errors.New("malformed frame")

// Conn sends and receives frames. Sending is safe for concurrent use; receiving is for one reader.
type Conn struct {
	c   net.Conn
	buf []byte

	mu sync.Mutex // one frame at a time on the way out
}

// NewConn speaks frames over c.
func NewConn(c net.Conn) *Conn { return &Conn{c: c} }

// Close ends the connection in both directions.
func (c *Conn) Close() error { return c.c.Close() }

// Send writes one frame. Payloads over MaxPayload are an error.
func (c *Conn) Send(kind Kind, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("cannot send a frame of %d bytes: %w", len(payload), ErrFrame)
	}
	header := make([]byte, headerSize)
	header[0] = byte(kind)
	binary.BigEndian.PutUint32(header[1:], uint32(len(payload)))
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := net.Buffers{header}
	if len(payload) > 0 {
		parts = append(parts, payload)
	}
	_, err := parts.WriteTo(c.c)
	return err
}

// SendJSON writes v as one frame.
func (c *Conn) SendJSON(kind Kind, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Send(kind, payload)
}

// Receive reads one frame. The payload is valid until the next call. io.EOF means that the other
// side closed between two frames.
func (c *Conn) Receive() (Kind, []byte, error) {
	kind, payload, err := ReadFrame(c.c, c.buf)
	if cap(payload) > cap(c.buf) {
		c.buf = payload
	}
	return kind, payload, err
}

// ReadFrame reads one frame from r, into buf where it fits.
func ReadFrame(r io.Reader, buf []byte) (Kind, []byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	kind := Kind(header[0])
	size := binary.BigEndian.Uint32(header[1:])
	if kind == 0 || kind >= lastKind || size > MaxPayload {
		return 0, nil, ErrFrame
	}
	if int(size) > cap(buf) {
		buf = make([]byte, max(int(size), 4096))
	}
	buf = buf[:size]
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return kind, buf, nil
}

// Decode reads exactly one JSON value without unknown keys into v.
func Decode(payload []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("cannot decode %T: %w", v, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("cannot decode %T: more than one value", v)
	}
	return nil
}

// EncodeSize is the payload of a Resize frame.
func EncodeSize(rows, cols uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, rows), cols)
}

// DecodeSize reads the payload of a Resize frame.
func DecodeSize(payload []byte) (rows, cols uint16, err error) {
	if len(payload) != 4 {
		return 0, 0, ErrFrame
	}
	return binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]), nil
}
