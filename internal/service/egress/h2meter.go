package egress

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// A client may send so many frames that carry nothing on one connection: at once, and a second
// after that.
const (
	idleFrames       = 2000
	idleFramesSecond = 200
)

var errFlood = errors.New("the client floods the connection with frames that carry nothing")

// h2Conn is an agent's HTTP/2 connection as the library reads it. It looks at the head of each
// frame (RFC 9113 §4.1) and counts those that cost work and carry nothing: resets, pings,
// settings, priorities, empty DATA, pieces of a head, frames of unknown types. A head in pieces
// must end in time.
type h2Conn struct {
	*tls.Conn
	s     *Server
	base  *agentConn
	skip  int // bytes of the preface, or of a payload, until the next frame
	head  [9]byte
	have  int
	left  float64 // frames that may still come
	since time.Time
	block bool // a head was begun and has not ended

	heard   atomic.Int64 // the latest frame of a stream, in Unix nanoseconds
	flooded atomic.Bool
	slow    atomic.Bool // a head did not end in time
	gone    atomic.Bool // the agent ended the connection
}

func (s *Server) meterH2(base *agentConn, conn *tls.Conn) *h2Conn {
	return &h2Conn{Conn: conn, s: s, base: base, skip: len(http2.ClientPreface), left: idleFrames, since: s.deps.Now()}
}

func (c *h2Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	var timeout net.Error
	switch {
	case err == nil || errors.Is(err, net.ErrClosed): // or the library closed it
	case errors.As(err, &timeout) && timeout.Timeout():
		c.slow.Store(true)
	default:
		c.gone.Store(true)
	}
	if !c.look(p[:n]) {
		c.flooded.Store(true)
		return 0, errFlood
	}
	return n, err
}

// look finds the frames in what was read, and reports whether the client still may send.
func (c *h2Conn) look(p []byte) bool {
	for len(p) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(p))
			c.skip -= n
			p = p[n:]
			continue
		}
		n := copy(c.head[c.have:], p)
		c.have += n
		p = p[n:]
		if c.have == len(c.head) {
			c.have = 0
			if !c.frame() {
				return false
			}
		}
	}
	return true
}

func (c *h2Conn) frame() bool {
	size := int(binary.BigEndian.Uint32(c.head[:4]) >> 8)
	kind, flags := http2.FrameType(c.head[3]), http2.Flags(c.head[4])
	c.skip = size
	if kind == http2.FrameHeaders || kind == http2.FrameContinuation || kind == http2.FrameData {
		c.heard.Store(c.s.deps.Now().UnixNano())
	}
	switch kind {
	case http2.FrameHeaders, http2.FrameContinuation:
		c.headBlock(flags.Has(http2.FlagHeadersEndHeaders))
		if kind == http2.FrameHeaders {
			return true
		}
	case http2.FrameWindowUpdate:
		return true
	case http2.FrameData:
		if size > 0 || flags.Has(http2.FlagDataEndStream) {
			return true
		}
	}
	return c.spend()
}

// headBlock bounds the time of a head that comes in pieces.
func (c *h2Conn) headBlock(ends bool) {
	switch {
	case !ends && !c.block:
		c.base.until(c.s.deps.Now().Add(c.s.limits.Head))
	case ends && c.block:
		c.base.until(time.Time{})
	}
	c.block = !ends
}

func (c *h2Conn) spend() bool {
	if c.left < 1 {
		now := c.s.deps.Now()
		c.left = min(idleFrames, c.left+now.Sub(c.since).Seconds()*idleFramesSecond)
		c.since = now
	}
	c.left--
	return c.left >= 0
}
