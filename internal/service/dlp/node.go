package dlp

import (
	"errors"
	"io"
	"iter"
	"slices"
)

// node unpacks a part of a stream as it comes and looks at what comes out. The unpacker runs as
// a coroutine that is resumed with each piece, so one goroutine at a time is at work.
type node struct {
	parent   *Stream
	child    *Stream
	name     string
	at       int64
	declared bool
	done     bool
	head     []byte // with which what is packed begins
	begins   bool   // so does the parent
	pixels   bool   // what comes out is a picture's

	in       []byte
	position int64 // of the parent, up to which this was fed
	ended    bool
	next     func() (struct{}, bool)
	stop     func()
	yield    func(struct{}) bool

	// held are the parent's offsets from which the child's bytes came, oldest first.
	held []origin
	last int64 // the parent's offset when something last came out
}

type origin struct{ out, in int64 }

var (
	errAborted = errors.New("aborted")
	errHead    = errors.New("the head is broken")
)

func newNode(parent *Stream, name string, at int64, declared bool, inner []string) *node {
	steps := append(slices.Clip(parent.steps), name)
	child := parent.e.Stream(parent.place, parent.use, inner...)
	child.shared, child.steps = parent.shared, steps
	n := &node{parent: parent, child: child, name: name, at: at, declared: declared, position: at, last: at}
	parent.shared.active++
	if name == "base64" {
		return n
	}
	n.next, n.stop = iter.Pull(func(yield func(struct{}) bool) {
		n.yield = yield
		n.run()
	})
	return n
}

// Read gives the unpacker what was fed, and waits for more.
func (n *node) Read(p []byte) (int, error) {
	for len(n.in) == 0 {
		if n.ended {
			return 0, io.EOF
		}
		if !n.yield(struct{}{}) {
			return 0, errAborted
		}
	}
	k := copy(p, n.in)
	n.in = n.in[k:]
	return k, nil
}

func (n *node) ReadByte() (byte, error) {
	var one [1]byte
	_, err := n.Read(one[:])
	return one[0], err
}

func (n *node) run() {
	r, err := unpacker(n.name, n)
	if err != nil {
		err = errors.Join(errHead, err)
	} else {
		buf := make([]byte, 16<<10)
		for err == nil {
			var k int
			k, err = r.Read(buf)
			if !n.emit(buf[:k]) {
				break
			}
		}
		if c, ok := r.(io.Closer); ok {
			_ = c.Close()
		}
	}
	if n.declared && !errors.Is(err, io.EOF) && !errors.Is(err, errAborted) {
		n.parent.add(Finding{Rule: RuleBroken, Place: n.parent.place, Steps: n.child.steps, Offset: n.at})
	}
	if !n.declared && unread(err, n.name, n.begins) {
		n.parent.sealed(n.name, n.at, n.head)
	}
	n.finish()
}

// emit passes on what came out; false ends the unpacking.
func (n *node) emit(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	if !n.parent.shared.spend(p, n.pixels) {
		n.parent.add(Finding{Rule: RuleWork, Place: n.parent.place, Steps: n.child.steps, Offset: n.at})
		return false
	}
	n.held = append(n.held, origin{n.child.base + int64(len(n.child.buf)), n.last})
	n.last = n.position
	n.collect(n.child.Write(p))
	return true
}

func (n *node) collect(found []Finding) {
	for _, f := range found {
		f.Offset, f.Span = n.at, 0
		n.parent.add(f)
	}
}

func (n *node) finish() {
	if n.done {
		return
	}
	n.done = true
	n.parent.shared.active--
	n.collect(n.child.Close())
}

func (n *node) write(p []byte, position int64) {
	if n.done || len(p) == 0 {
		return
	}
	if n.next == nil {
		n.base64(p, position)
		return
	}
	n.in, n.position = p, position
	if _, ok := n.next(); !ok {
		n.finish()
	}
	// What is left unread belongs to no one: it is the parent's again.
	n.in = nil
}

func (n *node) base64(p []byte, position int64) {
	n.position = position
	n.in = append(n.in, p...)
	var out []byte
	in := n.in
	for ; len(in) >= 4; in = in[4:] {
		v := uint32(digits64[in[0]])<<18 | uint32(digits64[in[1]])<<12 | uint32(digits64[in[2]])<<6 | uint32(digits64[in[3]])
		out = append(out, byte(v>>16), byte(v>>8), byte(v))
	}
	n.in = slices.Clone(in)
	n.emit(out)
}

func (n *node) close() {
	if n.done {
		return
	}
	n.ended = true
	if n.next != nil {
		for {
			if _, ok := n.next(); !ok {
				break
			}
		}
	}
	n.finish()
}

func (n *node) abort() {
	if n.done {
		return
	}
	n.done = true
	n.declared = false
	n.parent.shared.active--
	n.child.Abort()
	if n.stop != nil {
		n.stop()
	}
}

// cleared is the parent's offset before which all that this unpacked was looked at.
func (n *node) cleared() int64 {
	upto := n.child.Cleared()
	for len(n.held) > 1 && n.held[1].out <= upto {
		n.held = n.held[1:]
	}
	if len(n.held) > 0 && n.held[0].out < n.child.base+int64(len(n.child.buf)) {
		return n.held[0].in
	}
	return n.last
}
