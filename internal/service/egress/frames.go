package egress

import (
	"encoding/binary"
	"errors"
	"io"
)

var errFrame = errors.New("a WebSocket frame is malformed")

// frameReader passes the frames of one direction of a WebSocket through and checks each header
// (RFC 6455 §5.2): reserved bits, opcodes, masking, lengths, fragmentation. What is no frame
// ends the tunnel.
type frameReader struct {
	r        io.Reader
	masked   bool // the direction's frames must be masked
	deflate  bool // permessage-deflate was agreed: RSV1 may stand on a message's first frame
	head     [14]byte
	have     int   // bytes of head that were read
	given    int   // bytes of head that were passed on
	left     int64 // of the payload
	fragment bool  // a message was begun
	closed   bool  // a close frame passed
	failed   error
}

func (f *frameReader) Read(p []byte) (int, error) {
	if f.failed != nil {
		return 0, f.failed
	}
	n, err := f.read(p)
	if err != nil {
		f.failed = err
	}
	return n, err
}

func (f *frameReader) read(p []byte) (int, error) {
	if f.given == f.have && f.left == 0 {
		if f.closed {
			return 0, io.EOF
		}
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if f.given < f.have {
		n := copy(p, f.head[f.given:f.have])
		f.given += n
		return n, nil
	}
	if int64(len(p)) > f.left {
		p = p[:f.left]
	}
	n, err := f.r.Read(p)
	f.left -= int64(n)
	return n, err
}

func (f *frameReader) next() error {
	f.have, f.given = 0, 0
	if _, err := io.ReadFull(f.r, f.head[:2]); err != nil {
		return err
	}
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	masked := f.head[1]&0x80 != 0
	if masked {
		size += 4
	}
	if _, err := io.ReadFull(f.r, f.head[2:size]); err != nil {
		return err
	}
	switch f.head[1] & 0x7f {
	case 126:
		f.left = int64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		long := binary.BigEndian.Uint64(f.head[2:])
		if long>>63 != 0 {
			return errFrame
		}
		f.left = int64(long)
	default:
		f.left = int64(f.head[1] & 0x7f)
	}
	if masked != f.masked || !f.legal() {
		return errFrame
	}
	f.have = size
	return nil
}

// legal checks the frame's first byte against the state of the message, and moves that state.
func (f *frameReader) legal() bool {
	final, rsv, opcode := f.head[0]&0x80 != 0, f.head[0]&0x70, f.head[0]&0x0f
	switch opcode {
	case 0:
		if !f.fragment || rsv != 0 {
			return false
		}
		f.fragment = !final
	case 1, 2:
		if f.fragment || rsv&0x30 != 0 || rsv != 0 && !f.deflate {
			return false
		}
		f.fragment = !final
	case 8, 9, 10:
		if !final || rsv != 0 || f.left > 125 {
			return false
		}
		f.closed = opcode == 8
	default:
		return false
	}
	return true
}
