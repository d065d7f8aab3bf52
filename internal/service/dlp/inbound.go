package dlp

import (
	"io"
	"iter"
	"slices"
)

const (
	behind   = 512 // bytes of what went before that are looked at again
	minHides = 20  // letters that cannot be seen and are no accident

	// RuleHidden is text that a person does not see and a model reads.
	RuleHidden = "injection-hidden-text"
)

// Inbound looks at an answer as it goes by: for orders to whoever reads it, and for secrets of
// the bottle that come back. It holds nothing up and keeps little. It is for one goroutine.
type Inbound struct {
	e      *Engine
	place  string
	orders bool
	echo   bool

	normal normal
	raw    []byte // the end of the text so far
	told   []string
	out    []Finding
	flow   *flow
}

// Inbound begins to look at one answer, whose Content-Encoding may be undone. What cannot be
// undone is looked at as far as it goes.
func (e *Engine) Inbound(place string, orders, echo bool, encodings ...string) *Inbound {
	i := &Inbound{e: e, place: place, orders: orders, echo: echo}
	for n := len(encodings) - 1; n >= 0; n-- {
		name := map[string]string{"x-gzip": "gzip", "gzip": "gzip", "deflate": "zlib", "br": "br", "zstd": "zstd"}[encodings[n]]
		if name == "" {
			continue
		}
		i.flow = newFlow(name, i.flow, i.look)
	}
	return i
}

// Write takes the next bytes and returns what was found in them, each thing once.
func (i *Inbound) Write(p []byte) []Finding {
	i.out = nil
	if i.flow != nil {
		i.flow.write(p)
	} else {
		i.look(p)
	}
	return i.out
}

// Close ends the search and returns what was found last.
func (i *Inbound) Close() []Finding {
	i.out = nil
	if i.flow != nil {
		i.flow.close()
	}
	return i.out
}

// look takes the next bytes of the text itself.
func (i *Inbound) look(p []byte) {
	for len(p) > 0 {
		n := min(len(p), 32<<10)
		i.piece(p[:n])
		p = p[n:]
	}
}

func (i *Inbound) piece(p []byte) {
	if i.orders {
		i.normal.write(p)
		for _, rule := range i.e.orders().find(i.normal.text) {
			i.tell(Finding{Rule: rule, Place: i.place})
		}
		if i.normal.hidden >= minHides {
			i.tell(Finding{Rule: RuleHidden, Place: i.place})
		}
		if n := len(i.normal.text); n > behind {
			i.normal.text = append(i.normal.text[:0], i.normal.text[n-behind:]...)
			i.normal.hidden = i.normal.hidden * 3 / 4 // many in one place, not a few on each page
		}
	}
	if i.echo {
		i.raw = append(i.raw, p...)
		for _, f := range i.e.echoed(i.raw, i.place) {
			i.tell(f)
		}
		if n := len(i.raw); n > behind {
			i.raw = append(i.raw[:0], i.raw[n-behind:]...)
		}
	}
}

func (i *Inbound) tell(f Finding) {
	if !slices.Contains(i.told, f.Rule) {
		i.told = append(i.told, f.Rule)
		i.out = append(i.out, f)
	}
}

// echoed finds known secrets as they stand, and in the encodings that keep their bytes together.
func (e *Engine) echoed(text []byte, place string) []Finding {
	s := &scan{e: e, t: e.bare(), use: Detectors{Known: true}, place: place}
	v := view{text: text, hi: len(text)}
	s.t.calm.find(text, 0, len(text), s.t.fold, func(at int, what any) {
		if hit, ok := what.(knownHit); ok {
			s.known(v, at, hit)
		}
	})
	return slices.DeleteFunc(s.out, func(f Finding) bool { return f.Rule == "canary" })
}

// bareTables know the secrets and no rule.
func (e *Engine) bareTables() *tables {
	t := &tables{fold: foldTable()}
	for _, k := range e.known {
		if index, ok := newKnown(k); ok {
			t.secrets = append(t.secrets, index)
			index.anchors(t, len(t.secrets)-1)
		}
	}
	return t
}

// Limits of what an answer may unpack to, of which no more is looked at: it is not held for them.
const (
	flowBase  = 64 << 20
	flowRatio = 200
)

// flow undoes one compression as it comes, in a coroutine that is resumed with each piece.
type flow struct {
	in   []byte
	end  bool
	next func() (struct{}, bool)
	stop func()
	give func(struct{}) bool
	left int64
}

func newFlow(name string, inner *flow, look func([]byte)) *flow {
	f := &flow{left: flowBase}
	if inner != nil {
		look = inner.write
	}
	f.next, f.stop = iter.Pull(func(yield func(struct{}) bool) {
		f.give = yield
		r, err := unpacker(name, f)
		buf := make([]byte, 16<<10)
		for err == nil && f.left > 0 {
			var n int
			n, err = r.Read(buf)
			f.left -= int64(n)
			look(buf[:n])
		}
		if c, ok := r.(io.Closer); ok {
			_ = c.Close()
		}
	})
	return f
}

func (f *flow) write(p []byte) {
	f.left += int64(len(p)) * flowRatio
	f.in = p
	_, _ = f.next()
	f.in = nil
}

func (f *flow) close() {
	f.end = true
	for {
		if _, ok := f.next(); !ok {
			break
		}
	}
	f.stop()
}

// Read gives the unpacker what came, and waits for more.
func (f *flow) Read(p []byte) (int, error) {
	for len(f.in) == 0 {
		if f.end || !f.give(struct{}{}) {
			return 0, io.EOF
		}
	}
	n := copy(p, f.in)
	f.in = f.in[n:]
	return n, nil
}

// ReadByte implements io.ByteReader.
func (f *flow) ReadByte() (byte, error) {
	var one [1]byte
	_, err := f.Read(one[:])
	return one[0], err
}
