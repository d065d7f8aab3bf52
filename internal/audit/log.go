package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// backlog is how many events may wait for the disk before Record waits too.
	backlog = 1024
	// batch is from how many bytes on no further line joins a write.
	batch = 64 << 10
)

// Log appends events to a file, each line chained to the one before. It is safe for concurrent
// use, and must be the file's only writer. Lines that wait go to the disk in one write(2).
//
// No event is lost silently: where the disk is slow and the backlog is full, Record waits; where
// the disk refuses, Failed is closed and its owner must stop what it records.
type Log struct {
	file   *os.File
	redact func(string) string
	lines  chan *bytes.Buffer
	spare  sync.Pool // of *bytes.Buffer
	failed chan struct{}
	done   chan struct{}
	chain  *chain // the writer's, until done is closed
	err    error  // written before failed is closed

	mu     sync.RWMutex // held for reading while sending on lines
	closed bool
}

// NewLog goes on with the log in file, which must be open for appending, hold nothing or end with a
// newline, and whose chain stands at head; Close closes it. Redact, which may be nil, is applied
// to every text before it is written.
func NewLog(file *os.File, head Head, redact func(string) string) *Log {
	l := &Log{
		file: file, redact: redact, chain: newChain(head),
		lines:  make(chan *bytes.Buffer, backlog),
		failed: make(chan struct{}),
		done:   make(chan struct{}),
	}
	go l.write()
	return l
}

// Record implements Sink. After Close, or once Failed is closed, events go nowhere.
func (l *Log) Record(e Event) {
	buf, ok := l.spare.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	buf.Reset()
	if err := encode(buf, clean(e, time.Now(), l.redact)); err != nil {
		buf.Reset()
		_ = encode(buf, Event{Time: time.Now().UTC(), Kind: "alarm", Layer: "audit", Message: err.Error()})
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return
	}
	select {
	case l.lines <- buf:
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

func (l *Log) write() {
	defer close(l.done)
	var lines []byte
	for buf := range l.lines {
		lines = l.link(lines[:0], buf)
		for more := true; more && len(lines) < batch; {
			select {
			case next, ok := <-l.lines:
				if more = ok; ok {
					lines = l.link(lines, next)
				}
			default:
				more = false
			}
		}
		if _, err := l.file.Write(lines); err != nil {
			l.err = fmt.Errorf("cannot write the audit log: %w", err)
			close(l.failed)
			return
		}
	}
}

func (l *Log) link(lines []byte, event *bytes.Buffer) []byte {
	lines = l.chain.link(lines, event.Bytes())
	l.spare.Put(event)
	return lines
}
