// Package mux carries many streams over the one connection that an engine gives to a container.
//
// Its one rule: a stream that nobody reads never holds up another one, and a connection whose
// other end is silent for Silence has ended.
package mux

import (
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/yamux"
)

// Silence is how long the other end may take to answer a ping. A bottle whose owner or engine is
// gone without a word ends after it.
const Silence = 20 * time.Second

// Session is one end of the connection; it is a net.Listener of the streams the other end opens.
type Session = yamux.Session

func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	c.KeepAliveInterval = Silence / 2
	c.ConnectionWriteTimeout = Silence / 2
	c.StreamCloseTimeout = 5 * time.Second // a stream that one end has closed is closed at the other
	return c
}

// Guest is the end inside the bottle.
func Guest(conn io.ReadWriteCloser) (*Session, error) {
	s, err := yamux.Server(conn, config())
	if err != nil {
		return nil, fmt.Errorf("cannot speak over the container's streams: %w", err)
	}
	return s, nil
}

// Host is the end outside.
func Host(conn io.ReadWriteCloser) (*Session, error) {
	s, err := yamux.Client(conn, config())
	if err != nil {
		return nil, fmt.Errorf("cannot speak over the container's streams: %w", err)
	}
	return s, nil
}
