package egress

import (
	"errors"
	"io"
	"sync"
)

// chunkSize is what is moved at once; two TLS records.
const chunkSize = 32 << 10

// agentError is a failure to read from the agent, as against one of the upstream.
type agentError struct{ cause error }

func (e *agentError) Error() string { return "cannot read the request's body: " + e.cause.Error() }
func (e *agentError) Unwrap() error { return e.cause }

type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, chunkSize)
	return &p
}

func (b *buffers) put(p *[]byte) { b.pool.Put(p) }

// copyBody moves a request's body and flushes after each read, so that nothing waits for more.
func (s *Server) copyBody(dst io.Writer, src io.Reader, flush func() error) (int64, error) {
	buf := s.buffers.get()
	defer s.buffers.put(buf)
	var total int64
	for {
		n, err := src.Read(*buf)
		if n > 0 {
			total += int64(n)
			if _, err := dst.Write((*buf)[:n]); err != nil {
				return total, err
			}
			if flush != nil {
				if err := flush(); err != nil {
					return total, err
				}
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			if blocked := (*Blocked)(nil); errors.As(err, &blocked) {
				return total, err
			}
			return total, &agentError{err}
		}
	}
}
