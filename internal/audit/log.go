package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// backlog is how many events may wait for the disk before Record waits too.
const backlog = 1024

// Log appends events to a file, one line and one write(2) each, so that lines of several
// writers never mix. It is safe for concurrent use.
//
// No event is lost silently: where the disk is slow and the backlog is full, Record waits; where
// the disk refuses, Failed is closed and its owner must stop what it records.
type Log struct {
	file   *os.File
	redact func(string) string
	lines  chan []byte
	failed chan struct{}
	done   chan struct{}
	err    error // written before failed is closed

	mu     sync.RWMutex // held for reading while sending on lines
	closed bool
}

// NewLog writes to file, which must be open for appending; Close closes it. Redact, which may be
// nil, is applied to every text before it is written.
func NewLog(file *os.File, redact func(string) string) (*Log, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot look at the audit log: %w", err)
	}
	l := &Log{
		file: file, redact: redact,
		lines:  make(chan []byte, backlog),
		failed: make(chan struct{}),
		done:   make(chan struct{}),
	}
	// A run that was killed may have left half a line; an empty line ends it.
	go l.write(info.Mode().IsRegular() && info.Size() > 0)
	return l, nil
}

// Record implements Sink. After Close, or once Failed is closed, events go nowhere.
func (l *Log) Record(e Event) {
	var buf bytes.Buffer
	if err := encode(&buf, clean(e, time.Now(), l.redact)); err != nil {
		buf.Reset()
		_ = encode(&buf, Event{Time: time.Now().UTC(), Kind: "alarm", Layer: "audit", Message: err.Error()})
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return
	}
	select {
	case l.lines <- buf.Bytes():
	case <-l.failed:
	}
}

// Failed is closed when an event could not be written; Err then says why.
func (l *Log) Failed() <-chan struct{} { return l.failed }

// Err is why the log failed, or nil while it has not.
func (l *Log) Err() error {
	select {
	case <-l.failed:
		return l.err
	default:
		return nil
	}
}

// Close writes what is waiting and closes the file. It may be called once.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	close(l.lines)
	l.mu.Unlock()
	<-l.done
	return errors.Join(l.Err(), l.file.Close())
}

func (l *Log) write(endLine bool) {
	defer close(l.done)
	for line := range l.lines {
		if endLine {
			line = append([]byte{'\n'}, line...)
			endLine = false
		}
		if _, err := l.file.Write(line); err != nil {
			l.err = fmt.Errorf("cannot write the audit log: %w", err)
			close(l.failed)
			return
		}
	}
}
