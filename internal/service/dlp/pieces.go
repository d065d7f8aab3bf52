package dlp

import (
	"bytes"
	"slices"
	"strings"
)

// pieces collects what stands apart and may belong together. Glued in its order and against it,
// it becomes a text of its own.
type pieces struct {
	s      *scan
	v      view
	step   string
	least  int // pieces that there must be, or two
	parts  [][]byte
	lo, hi int
	size   int
}

// pieces begins a collection of at least so many pieces, or two.
func (s *scan) pieces(v view, least int) pieces {
	return pieces{s: s, v: v, step: stepJoined, least: least}
}

const (
	maxPiece = 256
	minGlued = 16
	maxGlued = 16 << 10
)

func (c *pieces) add(lo, hi int, part []byte) {
	if digest(part) {
		c.flush()
		return
	}
	if len(c.parts) == 0 {
		c.lo = lo
	}
	c.parts, c.hi, c.size = append(c.parts, part), hi, c.size+len(part)
	if c.size > maxGlued {
		c.flush()
	}
}

func (c *pieces) flush() {
	if len(c.parts) >= max(2, c.least) && c.size >= minGlued-4 {
		c.glue()
	}
	c.parts, c.size = c.parts[:0], 0
}

func (c *pieces) glue() {
	s := c.s
	s.whole = s.whole[:0]
	for _, part := range c.parts {
		s.whole = append(s.whole, part...)
	}
	if !lottery(s.whole) {
		// Words: none of the rules, but perhaps one of the bottle's own.
		if s.use.Known && len(s.t.secrets) > 0 {
			s.leaf(c.v.next(c.lo, c.hi, c.step), s.whole)
		}
		return
	}
	c.guess(c.step)
	if len(c.parts) <= 64 {
		s.whole = s.whole[:0]
		for _, part := range slices.Backward(c.parts) {
			s.whole = append(s.whole, part...)
		}
		c.guess(stepBackwards)
	}
}

// guess looks at what was glued, which is overwritten by the next.
func (c *pieces) guess(step string) {
	s := c.s
	if c.v.guess >= maxGuess || !worth(s.whole) {
		return
	}
	idle := s.idle
	if digest(c.v.text[c.lo:c.hi]) {
		idle = s.hopeless // what its own signs cut it into is looked at, but not decoded
	}
	if !idle(c.v, s.whole, true, step) {
		v := c.v
		v.amid = v.amid || amidst(v.text, c.lo, c.hi)
		s.perhaps(v, c.lo, c.hi, bytes.Clone(s.whole), step)
	}
}

// lottery reports whether some of a text could be drawn by lot.
func lottery(p []byte) bool {
	digits, uppers, lowers := 0, 0, 0
	for _, b := range p {
		switch c := class[b]; {
		case c&inUpper != 0:
			uppers++
		case c&inLower != 0:
			lowers++
		case b >= '0' && b <= '9':
			digits++
		}
	}
	return digits >= 2 && digits*16 >= len(p) || uppers >= 4 && lowers >= 4 && uppers*8 >= lowers || uppers >= 12 && uppers >= lowers
}

// joined glues values that stand apart: the strings of an array, the values of an object or a
// form, string literals that are added up, the ends of lines that begin alike.
func (s *scan) joined(v view) {
	n := len(v.steps)
	if n > 1 && v.steps[n-1] == stepQuoted {
		n-- // padding among what was glued is an escape by chance
	}
	if v.guess >= maxGuess || n > 0 && (v.steps[n-1] == stepJoined || v.steps[n-1] == stepBackwards) {
		return
	}
	s.quoted(v)
	s.members(v)
	s.fields(v)
	s.endings(v, "-+/.!%~@")
	if bytes.Contains(v.text, []byte("://")) {
		s.endings(v, "-+/.!%~@:?&=#$*^") // addresses in pieces
	}
	s.between(v)
	s.tagged(v)
	s.parts(v)
	s.records(v)
	s.shown(v)
}

func (s *scan) quoted(v view) {
	p := v.text
	c := s.pieces(v, 0)
	for i := 0; i < len(p); {
		q := p[i]
		if q != '"' && q != '\'' && q != '`' {
			i++
			continue
		}
		end := bytes.IndexByte(p[i+1:min(len(p), i+1+maxPiece)], q)
		if end < 0 {
			i++
			c.flush()
			continue
		}
		piece := p[i+1 : i+1+end]
		after := i + 2 + end
		k := after
		for k < len(p) && (p[k] == ' ' || p[k] == '\n') {
			k++
		}
		if len(piece) > 2 {
			piece = bytes.TrimSuffix(piece, []byte(`\n`))
			piece = bytes.Trim(piece, "'`()+\\")
		}
		switch {
		case q == '"' && k < len(p) && p[k] == ':':
			i = after // a key: its value follows
		case len(piece) == 0 || bytes.ContainsAny(piece, " \t\n<>(){};,"):
			c.flush()
			i++
			if len(piece) == 0 || q == '"' {
				i = after
			}
		default:
			if len(c.parts) > 0 && i-c.hi > 80 {
				c.flush()
			}
			c.add(i, after, piece)
			i = after
		}
	}
	c.flush()
}

// fields glues the values of a query or a form, and of lines of "name: value".
func (s *scan) fields(v view) {
	p := v.text
	for _, form := range []struct{ between, assign byte }{{'&', '='}, {'\n', ':'}, {'\n', '='}, {';', '='}, {',', '='}, {' ', '='}} {
		if bytes.IndexByte(p, form.between) < 0 || bytes.IndexByte(p, form.assign) < 0 {
			continue
		}
		c := s.pieces(v, 0)
		at := 0
		for part := range bytes.SplitSeq(p, []byte{form.between}) {
			_, value, ok := bytes.Cut(part, []byte{form.assign})
			value = bytes.Trim(value, " \t\r\"',")
			if n := bytes.IndexAny(value, "\r\n"); n > 0 {
				value = value[:n]
			}
			if !ok || len(value) == 0 || len(value) > maxPiece || bytes.ContainsAny(value, " \t<>(){};\"") {
				c.flush()
			} else {
				c.add(at, at+len(part), value)
			}
			at += len(part) + 1
		}
		c.flush()
	}
}

// endings glues the last words of lines that begin alike, but for numbers: records of a log,
// comments, rows.
func (s *scan) endings(v view, signs string) {
	p := v.text
	if bytes.IndexByte(p, '\n') < 0 {
		return
	}
	c := s.pieces(v, 0)
	var before []byte
	at := 0
	for line := range bytes.SplitSeq(p, []byte{'\n'}) {
		head, word := ending(line, signs)
		if len(word) == 0 || len(word) > maxPiece || len(line) > 1024 {
			c.flush()
			before = nil
		} else {
			// What stands before the first is not theirs.
			if before == nil || !alike(before[max(0, len(before)-len(head)):], head) {
				c.flush()
			}
			c.add(at, at+len(line), word)
			before = head
		}
		at += len(line) + 1
	}
	c.flush()
}

// ending is a line's last word without the marks around it, and what stands before.
func ending(line []byte, signs string) (head, word []byte) {
	end := len(line)
	for end > 0 && strings.IndexByte("\r \t\"'`)}],;\\+|", line[end-1]) >= 0 {
		end--
	}
	lo := end
	for lo > 0 && (wordByte(line[lo-1]) || strings.IndexByte(signs, line[lo-1]) >= 0) {
		lo--
	}
	return line[:lo], line[lo:end]
}

// alike reports whether two texts differ in their digits only.
func alike(a, b []byte) bool {
	if len(a) != len(b) && (len(a) > len(b)+1 || len(b) > len(a)+1) {
		return false
	}
	i, j := 0, 0
	for {
		for i < len(a) && a[i] >= '0' && a[i] <= '9' {
			i++
		}
		for j < len(b) && b[j] >= '0' && b[j] <= '9' {
			j++
		}
		if i == len(a) || j == len(b) {
			return i == len(a) && j == len(b)
		}
		if a[i] != b[j] {
			return false
		}
		i, j = i+1, j+1
	}
}

const maxGap = 16

// between glues pieces with the same text between all of them, whatever it is.
func (s *scan) between(v view) {
	p := v.text
	var tried [][]byte
	var last [4][]byte // the gaps before
	n, end := 0, 0
	for i := 0; i < len(p); {
		if !wordByte(p[i]) || p[i] == '_' {
			i++
			continue
		}
		if gap := p[end:i]; end > 0 && len(gap) <= maxGap {
			same := 0
			for _, g := range last {
				if bytes.Equal(g, gap) {
					same++
				}
			}
			if same >= 1 && len(tried) < 12 && !slices.ContainsFunc(tried, func(g []byte) bool { return bytes.Equal(g, gap) }) {
				tried = append(tried, gap)
				s.chain(v, gap)
			}
			last[n&3] = gap
			n++
		}
		for i < len(p) && wordByte(p[i]) && p[i] != '_' {
			i++
		}
		end = i
	}
}

// chain glues the pieces that a gap stands between.
func (s *scan) chain(v view, gap []byte) {
	p := v.text
	blank := len(bytes.TrimLeft(gap, " \n\t,.")) == 0
	c := s.pieces(v, 3)
	if len(p) <= tiny {
		c.least = 2 // elsewhere any two names with a sign between them would be pieces
	}
	words := 0
	flush := func() {
		// Words between spaces are prose, unless something is odd about most of them.
		if !blank || 3*words <= len(c.parts) || evenParts(c.parts) {
			c.flush()
		}
		c.parts, c.size, words = c.parts[:0], 0, 0
	}
	for at := 0; at < len(p); {
		next := bytes.Index(p[at:], gap)
		end := len(p)
		if next >= 0 {
			end = at + next
		}
		part := p[at:end]
		lo := at
		// What stands before the first piece, and behind the last, is not theirs.
		if cut := lastOther(part); cut >= 0 {
			if len(c.parts) > 0 {
				if n := firstOther(part); n > 0 {
					c.add(at, at+n, part[:n])
				}
			}
			flush()
			part, lo = part[cut+1:], at+cut+1
		}
		if len(part) == 0 || len(part) > 64 {
			flush()
		} else {
			if len(part) > 1 && lowerOnly(part) {
				words++
			}
			c.add(lo, end, part)
		}
		at = end + len(gap)
	}
	flush()
}

func other(b byte) bool {
	return b <= ' ' || b > '~' || b == '"' || b == '\'' || b == '<' || b == '>' || b == '(' || b == ')' || b == '{' || b == '}' || b == '[' || b == ']' || b == '`' || b == ','
}

func lastOther(p []byte) int {
	for i := len(p) - 1; i >= 0; i-- {
		if other(p[i]) {
			return i
		}
	}
	return -1
}

func firstOther(p []byte) int {
	for i, b := range p {
		if other(b) {
			return i
		}
	}
	return -1
}

func lowerOnly(p []byte) bool {
	for _, b := range p {
		if class[b]&inLower == 0 {
			return false
		}
	}
	return true
}

// evenParts reports whether all but the last are of one length.
func evenParts(parts [][]byte) bool {
	if len(parts) < 3 {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		if len(p) != len(parts[1]) {
			return false
		}
	}
	return true
}
