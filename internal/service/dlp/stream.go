package dlp

import (
	"fmt"
	"hash/maphash"
	"slices"
)

// A stream is looked at in windows at fixed offsets, however it is written, so that chunking
// changes nothing. Each overlaps the next by more than any secret is long in any encoding.
const (
	stride  = 112 << 10
	overlap = 16 << 10
)

// Limits of what a body's compressed data may unpack to, all of it together: what an agent sends comes to
// twenty times its size at most, and looking at it costs more than unpacking it.
const (
	unpackBase  = 8 << 20
	unpackRatio = 32
	maxSpare    = 32 << 20 // decoded bytes of all windows together, besides workRatio
	maxUnpacks  = 12       // unpacked at the same time, within one another or side by side
	maxHeld     = 32 << 20
)

// Stream looks at a text of any length as it goes by. It is for one goroutine.
type Stream struct {
	e     *Engine
	use   Detectors
	place string
	steps []string

	buf     []byte
	base    int64 // offset of buf[0]
	fed     int64 // offset up to which the unpackers have read
	allowed int64 // offset up to which bytes count for what may be unpacked
	nodes   []*node
	run     *node // a base64 run that goes on
	runs    int64 // where it begins, or -1
	shared  *shared
	out     []Finding
	scanner *scan
	primed  int // bytes before offset 0 that only give context
	dead    bool
	atStart bool
}

// shared is what all parts of one stream have in common.
type shared struct {
	left   int64 // bytes that may still be unpacked
	spare  int   // bytes that may still be decoded besides workRatio
	active int
	over   bool // more was unpacked than may be: nothing is unpacked any more
}

// spend counts what was unpacked; of a picture's pixels an eighth, because a screen of one colour packs as a
// bomb does.
func (c *shared) spend(p []byte, pixels bool) bool {
	n := int64(len(p))
	if pixels || oneByte(p) {
		n /= plainRatio
	}
	c.left -= n
	c.over = c.over || c.left < 0
	return !c.over
}

// Stream begins to look at one body. Encodings are those of Content-Encoding, in its order.
func (e *Engine) Stream(place string, use Detectors, encodings ...string) *Stream {
	s := &Stream{e: e, use: use, place: place, runs: -1, shared: &shared{left: unpackBase, spare: maxSpare}, atStart: true}
	if n := len(encodings); n > 0 {
		name := map[string]string{"x-gzip": "gzip", "gzip": "gzip", "deflate": "zlib", "br": "br", "zstd": "zstd"}[encodings[n-1]]
		switch {
		case name != "":
			s.spawn(name, 0, true, encodings[:n-1])
		case encodings[n-1] != "identity" && encodings[n-1] != "aws-chunked" && encodings[n-1] != "":
			s.out = append(s.out, Finding{Rule: RuleBroken, Place: place, Steps: []string{"content-encoding"}})
		}
	}
	return s
}

// Prime gives what stood right before the stream, so that a secret that begins there is found.
func (s *Stream) Prime(before []byte) {
	before = before[max(0, len(before)-overlap):]
	s.buf = append(s.buf, before...)
	s.primed = len(before)
	s.base = -int64(len(before))
	s.fed = 0
}

// Write takes the next bytes and returns all findings so far. It keeps no reference to p.
func (s *Stream) Write(p []byte) []Finding {
	for len(p) > 0 && !s.dead {
		n := min(len(p), stride+overlap-len(s.buf))
		s.buf, p = append(s.buf, p[:n]...), p[n:]
		if len(s.buf) == stride+overlap {
			s.scan(true)
		}
	}
	return s.out
}

// Close looks at the rest.
func (s *Stream) Close() []Finding {
	if s.dead {
		return s.out
	}
	s.scan(false)
	s.dead = true
	for _, n := range s.nodes {
		n.close()
	}
	if s.run != nil {
		s.run.close()
	}
	s.buf, s.scanner, s.nodes, s.run = nil, nil, nil, nil // whoever started it may be kept for long
	return s.out
}

// Abort gives up what is under way.
func (s *Stream) Abort() {
	s.dead = true
	for _, n := range s.nodes {
		n.abort()
	}
	if s.run != nil {
		s.run.abort()
	}
}

// Cleared is the offset before which everything has been looked at to the end.
func (s *Stream) Cleared() int64 {
	cleared := max(0, s.base)
	for _, n := range s.nodes {
		if !n.done {
			cleared = min(cleared, n.cleared())
		}
	}
	if s.run != nil {
		cleared = min(cleared, s.run.cleared())
	}
	return cleared
}

func (s *Stream) scan(more bool) {
	if s.scanner == nil {
		s.scanner = &scan{e: s.e, t: s.e.table(), use: s.use, seed: maphash.MakeSeed(), place: s.place, shared: s.shared}
	}
	s.window(more)
	for _, f := range s.scanner.out {
		f.Steps = append(slices.Clip(s.steps), f.Steps...)
		s.add(f)
	}
	upto := len(s.buf)
	if more {
		upto = stride
	}
	s.feed(upto)
	if more {
		n := copy(s.buf, s.buf[stride:])
		s.buf = s.buf[:n]
		s.base += stride
	}
}

// window looks at what is at hand. All that was unpacked shares what may be decoded besides workRatio, to
// which each window of the body itself adds.
func (s *Stream) window(more bool) {
	text, cuts := s.buf, []cut(nil)
	if len(s.steps) == 0 {
		s.shared.spare += maxWork
		s.shared.left += unpackRatio * (s.base + int64(len(s.buf)) - s.allowed)
		s.allowed = s.base + int64(len(s.buf))
	} else {
		text, cuts = shortened(s.buf) // its offsets are none of the body's
	}
	s.scanner.spareWork = min(maxWork, s.shared.spare)
	s.scanner.window(text, s.base, more)
	s.scanner.packs = restored(s.scanner.packs, cuts)
	s.shared.spare -= max(0, s.scanner.spareWork-max(0, s.scanner.work))
}

func (s *Stream) add(f Finding) {
	for _, old := range s.out {
		if old.Rule == f.Rule && old.Fingerprint == f.Fingerprint && (old.Offset == f.Offset || len(s.out) > 100) {
			return
		}
	}
	s.out = append(s.out, f)
}

// feed gives the unpackers the bytes up to buf[upto], and starts one wherever compressed data
// may begin.
func (s *Stream) feed(upto int) {
	lo := int(s.fed - s.base)
	p := s.buf
	at := lo
	give := func(to int) {
		for _, n := range s.nodes {
			n.write(p[at:to], s.base+int64(to))
		}
		at = to
	}
	packs := s.scanner.packs
	if s.atStart && lo < upto {
		s.atStart = false
		if name := opening(p[lo:]); name != "" {
			s.spawn(name, s.base+int64(lo), false, nil).opens(p[lo:], true)
		} else if len(s.nodes) == 0 && s.guessed() < maxGuess && magic(p[lo:]) == "" && unmarked(p[lo:]) {
			s.spawn("br", s.base+int64(lo), false, nil)
			if deflated(p[lo:]) {
				s.spawn("deflate", s.base+int64(lo), false, nil)
			}
		}
	}
	for _, i := range packs {
		if i >= lo && i < upto {
			give(i)
			n := s.spawn(magic(p[i:]), s.base+int64(i), false, nil)
			n.opens(p[i:], s.base+int64(i) == 0)
			n.draws(pixelsAt(p, i))
		}
	}
	give(upto)
	s.longRun(lo, upto)
	s.fed = s.base + int64(upto)
	s.nodes = slices.DeleteFunc(s.nodes, func(n *node) bool { return n.done })
}

// guessed is how many of the last steps nothing in the text asked for: what is packed without a
// mark, of which noise can be taken for any number on top of each other.
func (s *Stream) guessed() int {
	n := 0
	for i := len(s.steps) - 1; i >= 0 && (s.steps[i] == "br" || s.steps[i] == "deflate"); i-- {
		n++
	}
	return n
}

// unmarked reports whether a text begins as one that is packed in a form without a mark may.
func unmarked(p []byte) bool {
	if len(p) < 16 {
		return false
	}
	odd := 0
	for _, b := range p[:16] {
		if kinds[b]&isText == 0 {
			odd++
		}
	}
	return odd >= 3
}

// longRun follows base64 that is longer than a window, for what is packed in it.
func (s *Stream) longRun(lo, upto int) {
	p := s.buf
	i := lo
	if s.run != nil {
		for i < upto && class[p[i]]&in64 != 0 {
			i++
		}
		s.run.write(p[lo:i], s.base+int64(i))
		if i < upto {
			s.run.close()
			s.run = nil
		}
	}
	if s.run != nil || upto < stride {
		return
	}
	i = upto
	for i > lo && class[p[i-1]]&in64 != 0 {
		i--
	}
	if upto-i >= 4096 && len(s.steps) < maxDepth {
		s.run = newNode(s, "base64", s.base+int64(i), false, nil)
		s.run.write(p[i:upto], s.base+int64(upto))
	}
}

// spawn is nil where a limit was met.
func (s *Stream) spawn(name string, at int64, declared bool, inner []string) *node {
	if s.shared.over {
		return nil
	}
	if s.shared.active >= maxUnpacks || len(s.steps) >= maxDepth {
		s.add(Finding{Rule: RuleDepth, Place: s.place, Steps: s.steps, Offset: at})
		return nil
	}
	n := newNode(s, name, at, declared, inner)
	s.nodes = append(s.nodes, n)
	return n
}

func (f Finding) String() string {
	return fmt.Sprintf("%s in %s at %d via %v", f.Rule, f.Place, f.Offset, f.Steps)
}
