package dlp

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
)

// maxMessage bounds one message of a WebSocket or of gRPC: it is held until it was looked at.
const maxMessage = 16 << 20

// Frames passes RFC 6455 frames through, whole messages at a time: a message leaves when all of
// it, unmasked, inflated (RFC 7692) and with the end of those before it, was looked at.
type Frames struct {
	messages
	payload  []byte
	where    []stretch
	opcode   byte
	deflated bool
	dict     []byte
	within   bool
	// restored is set by the first redaction of a deflated message: from then on the upstream has
	// not seen what the sender's compressor refers to, and each message leaves inflated.
	restored bool
}

// stretch is where a frame stands in the raw bytes, and its payload.
type stretch struct {
	head, at, n int
	masked      bool
	mask        [4]byte
}

// NewFrames wraps the outgoing direction.
func (e *Engine) NewFrames(src io.Reader, use Detectors, o Options) *Frames {
	return &Frames{messages: messages{src: src, e: e, place: "websocket", use: use, Options: o}}
}

func (f *Frames) Read(p []byte) (int, error) {
	for len(f.ready) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		if err := f.frame(); err != nil {
			f.err = err
			return 0, err
		}
	}
	n := copy(p, f.ready)
	f.ready = f.ready[n:]
	return n, nil
}

func (f *Frames) frame() error {
	start := len(f.raw)
	head, err := f.take(2)
	if err != nil {
		return err
	}
	first, second := head[0], head[1]
	length := uint64(second & 0x7f)
	if more := map[uint64]int{126: 2, 127: 8}[length]; more > 0 {
		ext, err := f.take(more)
		if err != nil {
			return err
		}
		length = 0
		for _, b := range ext {
			length = length<<8 | uint64(b)
		}
	}
	var mask [4]byte
	if second&0x80 != 0 {
		m, err := f.take(4)
		if err != nil {
			return err
		}
		copy(mask[:], m)
	}
	if length > maxMessage {
		length = maxMessage
	}
	at := len(f.raw)
	body, err := f.take(int(length))
	if err != nil {
		return err
	}
	clear := make([]byte, len(body))
	for i, b := range body {
		clear[i] = b ^ mask[i&3]
	}
	if first&8 != 0 { // a control frame, whose payload is a way out too
		if err := f.look(clear, false); err != nil {
			return err
		}
		if !f.within {
			f.release()
		}
		return nil
	}
	if first&0x0f != 0 {
		f.opcode, f.deflated = first&0x0f, first&0x40 != 0
	}
	f.payload = append(f.payload, clear...)
	f.where = append(f.where, stretch{start, at, len(body), second&0x80 != 0, mask})
	if f.within = first&0x80 == 0; f.within {
		return nil
	}
	return f.whole()
}

// whole looks at a message of which all frames have come.
func (f *Frames) whole() error {
	if f.deflated {
		if err := f.inflate(); err != nil {
			return err
		}
	} else if err := f.look(f.payload, f.opcode == 1); err != nil {
		return err
	} else {
		f.mask()
	}
	f.payload, f.where = f.payload[:0], f.where[:0]
	f.release()
	return nil
}

// mask writes the message back to where its frames stand; a redaction has changed it and not its
// length.
func (f *Frames) mask() {
	p := f.payload
	for _, w := range f.where {
		for i := range w.n {
			f.raw[w.at+i] = p[i] ^ w.mask[i&3]
		}
		p = p[w.n:]
	}
}

func (f *Frames) inflate() error {
	r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(f.payload), bytes.NewReader([]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff})), f.dict)
	out, err := io.ReadAll(io.LimitReader(r, unpackBase+1))
	if err != nil || len(out) > unpackBase {
		rule := RuleBroken
		if len(out) > unpackBase {
			rule = RuleWork
		}
		if err := f.Verdict([]Finding{{Rule: rule, Place: f.place, Steps: []string{"permessage-deflate"}}}); err != nil {
			return err
		}
		return errMessage
	}
	f.dict = append(f.dict, out...)
	f.dict = bytes.Clone(f.dict[max(0, len(f.dict)-32<<10):]) // its compressor goes on from what it said
	if err := f.look(out, f.opcode == 1); err != nil {
		return err
	}
	if f.restored = f.restored || f.changed; f.restored {
		f.restore(out)
	}
	return nil
}

// restore puts a message that came deflated into one frame as it reads (RFC 7692, section 6: each
// message may be compressed or not), behind the control frames that stood between its own.
func (f *Frames) restore(text []byte) {
	var out []byte
	end := 0
	for _, w := range f.where {
		out = append(out, f.raw[end:w.head]...)
		end = w.at + w.n
	}
	out = append(out, f.raw[end:]...)
	first := f.where[0]
	out = appendHead(out, 0x80|f.opcode, first.masked, len(text))
	if first.masked {
		out = append(out, first.mask[:]...)
	}
	for i, b := range text {
		out = append(out, b^first.mask[i&3])
	}
	f.raw = out
}

// appendHead writes a frame's head up to its mask.
func appendHead(to []byte, first byte, masked bool, length int) []byte {
	second := byte(0)
	if masked {
		second = 0x80
	}
	switch {
	case length < 126:
		return append(to, first, second|byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(to, first, second|126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(to, first, second|127), uint64(length))
}

// Calls passes gRPC's messages (length-prefixed) through, each when it was looked at, so that
// both sides may talk at the same time.
type Calls struct{ messages }

// NewCalls wraps a request body of gRPC.
func (e *Engine) NewCalls(src io.Reader, use Detectors, o Options) *Calls {
	return &Calls{messages{src: src, e: e, place: "grpc", use: use, Options: o}}
}

func (c *Calls) Read(p []byte) (int, error) {
	for len(c.ready) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		if c.err = c.message(); c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

func (c *Calls) message() error {
	head, err := c.take(5)
	if err != nil {
		return err
	}
	body, err := c.take(int(min(binary.BigEndian.Uint32(head[1:]), maxMessage)))
	if err != nil {
		return err
	}
	if err := c.look(body, head[0] == 0); err != nil {
		return err
	}
	c.release()
	return nil
}
