package dlp

import (
	"io"
	"slices"
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
	// Form and Conversation are those of a Redaction.
	Form         Form
	Conversation bool
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
	may := func(f Finding) bool { return b.Redactable == nil || b.Redactable(f) }
	r := Redaction{
		Form: b.Form, Conversation: b.Conversation, Whole: b.at == 0 && b.ended, May: may,
		Again: func() []Finding { return b.around(found) },
		Alone: func(value []byte) []Finding { return b.s.e.Scan(value, b.s.place, b.s.use) },
	}
	done, rest := r.Replace(b.held, b.at, found)
	if rest != nil {
		return b.verdict(rest)
	}
	for _, f := range done {
		if b.Redacted != nil {
			b.Redacted(f)
		}
	}
	return nil
}

// around looks again where something was found. What stands elsewhere is found in its own time.
func (b *Body) around(found []Finding) []Finding {
	return slices.DeleteFunc(b.s.e.window(b.held, b.at, b.s.place, b.s.use, !b.ended), func(f Finding) bool {
		return !slices.ContainsFunc(found, func(g Finding) bool {
			return f.Offset < g.Offset+int64(g.Span) && g.Offset < f.Offset+int64(f.Span)
		})
	})
}

// Close ends the search early.
func (b *Body) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s.Abort()
}
