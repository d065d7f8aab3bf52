package egress

import (
	"bufio"
	"errors"
	"io"
	"strconv"
)

var (
	errChunk    = errors.New("a chunk is malformed")
	errShort    = errors.New("the body ended before its length")
	errTooLarge = errors.New("the body is longer than its length")
)

// maxChunkLine bounds a chunk's size line.
const maxChunkLine = 256

// sizedBody reads exactly n bytes; the end of the stream before that is an error.
type sizedBody struct {
	r io.Reader
	n int64
}

func (b *sizedBody) Read(p []byte) (int, error) {
	if b.n == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.n {
		p = p[:b.n]
	}
	n, err := b.r.Read(p)
	b.n -= int64(n)
	if err == io.EOF && b.n > 0 {
		err = errShort
	}
	if err == nil && b.n == 0 {
		err = io.EOF
	}
	return n, err
}

// chunkedBody decodes RFC 9112 §7.1. With strict set it refuses chunk extensions, in which
// desynchronisation hides; otherwise it drops them.
type chunkedBody struct {
	br      *bufio.Reader
	strict  bool
	limit   int // bytes of the trailer section
	left    int64
	within  bool // a chunk was begun, its CRLF is still to come
	done    bool
	failed  error
	trailer Header
}

func (b *chunkedBody) Read(p []byte) (int, error) {
	if b.failed != nil {
		return 0, b.failed
	}
	if b.done {
		return 0, io.EOF
	}
	n, err := b.read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // only a bare EOF is the end of a body
		b.failed = err
	}
	return n, err
}

func (b *chunkedBody) read(p []byte) (int, error) {
	if b.left == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
		if b.done {
			return 0, io.EOF
		}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.br.Read(p)
	b.left -= int64(n)
	if err == io.EOF {
		err = errShort
	}
	return n, err
}

// next reads a chunk's size line, and after the last chunk the trailer section.
func (b *chunkedBody) next() error {
	if b.within {
		if err := b.crlf(); err != nil {
			return err
		}
		b.within = false
	}
	line, err := b.br.ReadSlice('\n')
	if err != nil || len(line) > maxChunkLine || len(line) < 3 || line[len(line)-2] != '\r' {
		return orShort(err)
	}
	size, err := parseChunkSize(line[:len(line)-2], b.strict)
	if err != nil {
		return err
	}
	if size > 0 {
		b.left, b.within = size, true
		return nil
	}
	head, err := readHead(b.br, nil, b.limit, nil)
	if err != nil {
		return orShort(err)
	}
	if b.trailer, err = parseFields(string(head)); err != nil {
		return err
	}
	b.done = true
	return nil
}

func (b *chunkedBody) crlf() error {
	var end [2]byte
	if _, err := io.ReadFull(b.br, end[:]); err != nil {
		return orShort(err)
	}
	if end != [2]byte{'\r', '\n'} {
		return errChunk
	}
	return nil
}

func orShort(err error) error {
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF: //nolint:errorlint // of the connection itself, not of what it wraps
		return errShort
	case err == nil || errors.Is(err, bufio.ErrBufferFull):
		return errChunk
	}
	return err
}

func parseChunkSize(line []byte, strict bool) (int64, error) {
	var size int64
	for i, c := range line {
		var digit byte
		switch {
		case c >= '0' && c <= '9':
			digit = c - '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			digit = c | 0x20 - 'a' + 10
		case i > 0 && !strict && (c == ';' || c == ' ' || c == '\t'):
			return size, nil
		default:
			return 0, errChunk
		}
		if i == 15 {
			return 0, errChunk
		}
		size = size<<4 | int64(digit)
	}
	return size, nil
}

// chunkWriter frames what is written; Close ends the body with its trailer section.
type chunkWriter struct {
	bw *bufio.Writer
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var size [18]byte
	line := append(strconv.AppendInt(size[:0], int64(len(p)), 16), '\r', '\n')
	if _, err := w.bw.Write(line); err != nil {
		return 0, err
	}
	if _, err := w.bw.Write(p); err != nil {
		return 0, err
	}
	_, err := w.bw.WriteString("\r\n")
	return len(p), err
}

func (w *chunkWriter) close(trailer Header) error {
	if _, err := w.bw.WriteString("0\r\n"); err != nil {
		return err
	}
	writeFields(w.bw, trailer)
	_, err := w.bw.WriteString("\r\n")
	return err
}

func writeFields(bw *bufio.Writer, fields Header) {
	for i := range fields { // a bufio.Writer keeps its first error for the Flush
		_, _ = bw.WriteString(fields[i].Name)
		_, _ = bw.WriteString(": ")
		_, _ = bw.WriteString(fields[i].Value)
		_, _ = bw.WriteString("\r\n")
	}
}
