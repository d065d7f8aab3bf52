//go:build linux

package gitgate

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// A pkt-line has four hex digits of its whole length before it; 0000 is a flush
// (gitprotocol-common(5)).
const maxPkt = 65520

var errPkt = errors.New("the request is not made of pkt-lines")

// readPkt returns the next line, nil for a flush.
func readPkt(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size, err := strconv.ParseUint(string(head[:]), 16, 32)
	switch {
	case err != nil || size > maxPkt || size > 0 && size < 4:
		return nil, errPkt
	case size == 0:
		return nil, nil
	}
	line := make([]byte, size-4)
	_, err = io.ReadFull(r, line)
	return line, err
}

func pkt(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

const flushPkt = "0000"

// The bands of side-band-64k (gitprotocol-pack(5)).
const (
	bandData  = 1
	bandWords = 2
)

// writeBand sends p on a band in as many packets as it takes. An empty one keeps the connection alive.
func writeBand(w io.Writer, band byte, p []byte) error {
	for {
		n := min(len(p), maxPkt-5)
		if _, err := fmt.Fprintf(w, "%04x%c%s", n+5, band, p[:n]); err != nil {
			return err
		}
		if p = p[n:]; len(p) == 0 {
			return nil
		}
	}
}
