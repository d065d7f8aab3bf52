package egress

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rawSocket is the part of syscall.RawConn that looks without touching.
type rawSocket interface {
	Control(func(fd uintptr)) error
	Read(func(fd uintptr) bool) error
}

var _ rawSocket = syscall.RawConn(nil)

// agentConn is a connection from the bottle: what was peeked at is read again, and every read
// and write has a deadline.
type agentConn struct {
	net.Conn
	now    func() time.Time
	peeked []byte
	name   string // for a certificate where the handshake names no host
	full   bool   // it came when the bottle had too many connections open

	stall atomic.Int64 // longest wait for one read or write, in nanoseconds; 0 is for ever
	limit atomic.Int64 // the latest end of any read, in Unix nanoseconds; 0 is none
	armed atomic.Int64 // the read deadline that is set, in Unix nanoseconds
}

func (c *agentConn) patience(d time.Duration) { c.stall.Store(int64(d)) }

// until ends reads at t, also one that waits; the zero time lifts the limit.
func (c *agentConn) until(t time.Time) {
	if t.IsZero() {
		c.limit.Store(0)
		return
	}
	c.limit.Store(t.UnixNano())
	c.armed.Store(t.UnixNano())
	_ = c.SetReadDeadline(t)
}

func (c *agentConn) Read(p []byte) (int, error) {
	if len(c.peeked) > 0 {
		n := copy(p, c.peeked)
		c.peeked = c.peeked[n:]
		return n, nil
	}
	c.arm()
	return c.Conn.Read(p)
}

// unbounded lifts every deadline, for a tunnel that is watched as a whole.
func (c *agentConn) unbounded() {
	c.patience(0)
	c.until(time.Time{})
	_ = c.SetDeadline(time.Time{})
	c.armed.Store(0)
}

// arm sets the read deadline where it would be off by more than a second, or an eighth of a short
// wait: moving the timer for every read costs more than the read's wake-up.
func (c *agentConn) arm() {
	var want int64
	slack := int64(time.Second)
	if stall := c.stall.Load(); stall > 0 {
		want = c.now().UnixNano() + stall
		slack = min(slack, stall/8)
	}
	if limit := c.limit.Load(); limit > 0 && (want == 0 || limit < want) {
		want = limit
	}
	armed := c.armed.Load()
	if want == armed || want != 0 && want != c.limit.Load() && want > armed && want-armed < slack && armed != 0 {
		return
	}
	c.armed.Store(want)
	if want == 0 {
		_ = c.SetReadDeadline(time.Time{})
		return
	}
	_ = c.SetReadDeadline(time.Unix(0, want))
}

func (c *agentConn) Write(p []byte) (int, error) {
	if stall := c.stall.Load(); stall > 0 {
		_ = c.SetWriteDeadline(c.now().Add(time.Duration(stall)))
	}
	return c.Conn.Write(p)
}

// peek reads until done says that it has seen enough, and keeps the bytes for the next Read.
func (c *agentConn) peek(limit int, done func([]byte) bool) ([]byte, error) {
	buf := append(make([]byte, 0, 2048), c.peeked...)
	for !done(buf) {
		if len(buf) >= limit {
			return buf, errHeadTooLarge
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		c.arm()
		n, err := c.Conn.Read(buf[len(buf):min(cap(buf), limit)])
		buf = buf[:len(buf)+n]
		if err != nil && n == 0 {
			c.peeked = buf
			return buf, err
		}
	}
	c.peeked = buf
	return buf, nil
}

// reset closes so that the peer sees a refused connection and not an empty answer.
func (c *agentConn) reset() { reset(c.Conn) }

// gone reports whether the peer has closed its side, without reading.
func (c *agentConn) gone() bool {
	sys, ok := socketOf(c.Conn)
	if !ok {
		return false
	}
	gone := false
	err := sys.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll, 0)
		gone = err == nil && n > 0 && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone
}
