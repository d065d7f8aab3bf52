package dlp

import (
	"bytes"
	"io"
	"sync"
)

// Verdict is what is done about findings: nil lets the rest go on (what was found was replaced).
type Verdict func([]Finding) error

// Body passes a body through and holds back what is not yet cleared. It yields what is cleared
// at once, and nothing more after a finding that verdict refuses.
type Body struct {
	// Redactable, which may be nil, says of which findings may be replaced. Redacted, which may be
	// nil, is told of what was.
	Redactable func(Finding) bool
	Redacted   func(Finding)
	// Last, which may be nil, has the last word on a body of which nothing was found.
	Last func() []Finding

	src     io.Reader
	verdict Verdict
	redact  bool
	held    []byte // read and not yet yielded, from offset at on
	at      int64
	free    int // bytes of held that are cleared
	told    int // findings that were dealt with
	buf     [32 << 10]byte
	err     error
	ended   bool

	mu sync.Mutex // an exchange may be given up while its body is being looked at
	s  *Stream
}

// NewBody reads src through s. With redact set, findings are replaced where that keeps the
// body's form, and the verdict is asked only about the others.
func NewBody(src io.Reader, s *Stream, redact bool, verdict Verdict) *Body {
	return &Body{src: src, s: s, verdict: verdict, redact: redact}
}

func (b *Body) Read(p []byte) (int, error) {
	for {
		if b.free > 0 {
			n := copy(p, b.held[:b.free])
			b.held, b.free, b.at = b.held[n:], b.free-n, b.at+int64(n)
			return n, nil
		}
		if b.err != nil {
			return 0, b.err
		}
		if b.ended {
			return 0, io.EOF
		}
		b.fill()
	}
}

func (b *Body) fill() {
	n, err := b.src.Read(b.buf[:])
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.s.dead {
		b.fail(io.ErrClosedPipe)
		return
	}
	b.held = append(b.held, b.buf[:n]...)
	found := b.s.Write(b.buf[:n])
	upto := b.s.Cleared()
	switch {
	case err == io.EOF:
		found = b.s.Close()
		upto = b.at + int64(len(b.held))
		b.ended = true
		if b.Last != nil && len(found) == 0 {
			found = b.Last()
		}
	case err != nil:
		b.s.Abort()
		b.fail(err)
		return
	}
	if len(b.held) > maxHeld {
		found = append(found, Finding{Rule: RuleWork, Place: b.s.place})
	}
	if len(found) > b.told {
		if err := b.judge(found[b.told:]); err != nil {
			b.s.Abort()
			b.fail(err)
			return
		}
		b.told = len(found)
	}
	b.free = int(max(0, min(upto-b.at, int64(len(b.held)))))
}

func (b *Body) fail(err error) {
	b.held, b.free, b.err = nil, 0, err
}

// judge redacts what can be redacted, looks again, and asks about the rest.
func (b *Body) judge(found []Finding) error {
	if !b.redact {
		return b.verdict(found)
	}
	for _, f := range found {
		lo := f.Offset - b.at
		if b.Redactable != nil && !b.Redactable(f) || f.Span == 0 || lo < 0 || lo+int64(f.Span) > int64(len(b.held)) {
			return b.verdict(found)
		}
		redact(b.held, int(lo), int(lo)+f.Span, len(f.Steps) == 0)
	}
	for _, f := range b.s.e.window(b.held, b.at, b.s.place, b.s.use, !b.ended) {
		lo, hi := f.Offset, f.Offset+int64(f.Span)
		for _, g := range found {
			if lo < g.Offset+int64(g.Span) && g.Offset < hi {
				return b.verdict([]Finding{f})
			}
		}
	}
	for _, f := range found {
		if b.Redacted != nil {
			b.Redacted(f)
		}
	}
	return nil
}

// Close ends the search early.
func (b *Body) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s.Abort()
}

// Redact overwrites a span in place and keeps its form: quotes, escapes, separators and length
// stay, so that JSON, a form, a list of numbers or base64 still parse.
func Redact(p []byte, plain bool) { redact(p, 0, len(p), plain) }

// redact overwrites text[lo:hi], and keeps the names of an object's members in it.
func redact(text []byte, lo, hi int, plain bool) {
	mark := byte('1')
	if plain {
		mark = 'X'
	}
	name, end := member(text, max(0, lo-maxPiece))
	for i := lo; i < hi; i++ {
		for end >= 0 && i > end {
			name, end = member(text, end+1)
		}
		if b := text[i]; end >= 0 && i >= name || i > 0 && text[i-1] == '\\' && !plainEscape(b) {
			continue
		} else if wordByte(b) || b >= 0x80 {
			text[i] = mark
		}
	}
}

// member is where the next name of a JSON object's member begins and ends behind from, with its
// quotes; end is negative when there is none.
func member(text []byte, from int) (name, end int) {
	for i := from; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		k := i + 1
		for k < len(text) && (text[k] == ' ' || text[k] == '\n' || text[k] == '\t' || text[k] == '\r') {
			k++
		}
		if k == len(text) || text[k] != ':' {
			continue
		}
		if name = bytes.LastIndexByte(text[max(0, i-maxPiece):i], '"'); name >= 0 {
			return name + max(0, i-maxPiece), i
		}
	}
	return 0, -1
}

func plainEscape(b byte) bool { return b >= '0' && b <= '9' }
