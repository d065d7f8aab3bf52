package dns

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Limits of DNS over TCP (RFC 7766).
const (
	maxStreams       = 64
	maxStreamQueries = 256
	maxStreamMessage = 4096
	streamIdle       = 10 * time.Second
)

// serveStreams accepts while there is a free slot; beyond that the kernel's backlog holds
// clients back. slots are shared by all listeners.
func (s *Server) serveStreams(ctx context.Context, listener net.Listener, slots chan struct{}) error {
	var clients sync.WaitGroup
	defer clients.Wait()
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot accept DNS over TCP on %s: %w", listener.Addr(), err)
		}
		clients.Go(func() {
			defer func() { <-slots }()
			s.serveStream(ctx, conn)
		})
	}
}

// serveStream answers until the client ends, misbehaves or is idle; none of that is ours to report.
func (s *Server) serveStream(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	in := bufio.NewReaderSize(conn, maxStreamMessage)
	for range maxStreamQueries {
		if conn.SetDeadline(time.Now().Add(streamIdle)) != nil {
			return
		}
		query, err := readFrame(in)
		if err != nil {
			return
		}
		response := s.answer(query, "tcp")
		if response == nil {
			return
		}
		frame := append(binary.BigEndian.AppendUint16(nil, uint16(len(response))), response...)
		if _, err := conn.Write(frame); err != nil {
			return
		}
	}
}

func readFrame(in io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > maxStreamMessage {
		return nil, errors.New("the query is too long")
	}
	query := make([]byte, n)
	_, err := io.ReadFull(in, query)
	return query, err
}
