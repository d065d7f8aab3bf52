package dlp

import "bytes"

const (
	minMember = 6   // letters of a value that is glued to others over what stands between them
	maxApart  = 512 // bytes between two of these
)

// members glues the values of an object that look drawn, over those between them that do not.
func (s *scan) members(v view) {
	p := v.text
	c := s.pieces(v, 2)
	others := 0
	flush := func() {
		if others > 0 {
			c.flush()
		}
		c.parts, c.size, others = c.parts[:0], 0, 0
	}
	for i := 0; i < len(p); {
		n := bytes.IndexByte(p[i:], '"')
		if n < 0 {
			break
		}
		lo := i + n + 1
		n = bytes.IndexByte(p[lo:], '"')
		if n < 0 {
			break
		}
		value := p[lo : lo+n]
		i = lo + n + 1
		if i < len(p) && p[i] == ':' || i+1 < len(p) && p[i] == ' ' && p[i+1] == ':' {
			continue // a name
		}
		if len(c.parts) > 0 && lo-c.hi > maxApart {
			flush()
		}
		switch {
		case len(value) >= minMember && len(value) <= maxPiece && drawnValue(value):
			c.add(lo, i, value)
		case len(c.parts) > 0:
			others++
		}
	}
	flush()
}

// drawnValue reports whether a value is one run of signs with a digit, or with capitals as words have not.
func drawnValue(p []byte) bool {
	digits, uppers := 0, 0
	for i, b := range p {
		switch {
		case b <= ' ' || b > '~':
			return false
		case b >= '0' && b <= '9':
			digits++
		case class[b]&inUpper != 0 && i > 0:
			uppers++
		}
	}
	return digits > 0 || uppers >= 3
}
