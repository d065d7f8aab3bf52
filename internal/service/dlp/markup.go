package dlp

import "bytes"

// tagged reads text without what marks it up: tags, and the colours of a terminal.
func (s *scan) tagged(v view) {
	p := v.text
	if bytes.IndexByte(p, '<') >= 0 && bytes.IndexByte(p, '>') >= 0 {
		s.without(v, '<', func(p []byte) int {
			if len(p) < 2 || !wordByte(p[1]) && p[1] != '/' && p[1] != '!' {
				return 0
			}
			return bytes.IndexByte(p[:min(len(p), 512)], '>') + 1
		})
	}
	if bytes.IndexByte(p, 0x1b) >= 0 {
		s.without(v, 0x1b, func(p []byte) int {
			if len(p) < 2 || p[1] != '[' {
				return 0
			}
			for i := 2; i < min(len(p), 32); i++ {
				if p[i] >= '@' && p[i] <= '~' {
					return i + 1
				}
			}
			return 0
		})
	}
}

// without glues what stands between marks that follow each other closely. length is a mark's, or 0.
func (s *scan) without(v view, first byte, length func([]byte) int) {
	p := v.text
	c := s.pieces(v, 0)
	at := 0
	for at < len(p) {
		n := bytes.IndexByte(p[at:], first)
		if n < 0 {
			n = len(p) - at
		}
		part := p[at : at+n]
		trimmed := bytes.TrimSpace(part)
		switch {
		case len(trimmed) == 0:
		case len(trimmed) > maxPiece || bytes.ContainsAny(trimmed, " \t\n"):
			if k := bytes.IndexAny(trimmed, " \t\n"); k > 0 && len(c.parts) > 0 {
				c.add(at, at+n, trimmed[:k])
			}
			c.flush()
			if k := bytes.LastIndexAny(trimmed, " \t\n"); k >= 0 && k+1 < len(trimmed) && len(trimmed)-k <= maxPiece {
				c.add(at, at+n, trimmed[k+1:])
			}
		default:
			c.add(at, at+n, trimmed)
		}
		at += n
		if at == len(p) {
			break
		}
		mark := length(p[at:])
		if mark == 0 {
			c.flush()
			mark = 1
		}
		at += mark
	}
	c.flush()
}

// parts glues the bodies of a multipart message (RFC 2046 §5.1).
func (s *scan) parts(v view) {
	p := v.text
	if !bytes.Contains(p, []byte("ontent-")) {
		return
	}
	c := s.pieces(v, 0)
	at := 0
	for {
		n := bytes.Index(p[at:], []byte("\n\r\n"))
		if n < 0 {
			break
		}
		lo := at + n + 3
		end := bytes.Index(p[lo:], []byte("\r\n--"))
		if end < 0 {
			break
		}
		if body := p[lo : lo+end]; len(body) > 0 && len(body) <= maxPiece {
			c.add(lo, lo+end, body)
		} else {
			c.flush()
		}
		at = lo + end
	}
	c.flush()
}

// records glues text with a few bytes that are none between its pieces, as length-prefixed and
// zero-terminated strings have; and CBOR's strings, whose heads look like letters (RFC 8949 §3.1).
func (s *scan) records(v view) {
	p := v.text
	noise := false
	for _, b := range p {
		if kinds[b]&isText == 0 {
			noise = true
			break
		}
	}
	if !noise {
		return
	}
	c := s.pieces(v, 0)
	plain := 0 // gaps of text in a row
	for i := 0; i < len(p); {
		if p[i] <= ' ' || p[i] > '~' {
			i++
			continue
		}
		lo := i
		for i < len(p) && p[i] > ' ' && p[i] <= '~' {
			i++
		}
		if len(c.parts) > 0 && allText(p[c.hi:lo]) {
			plain++ // a length may look like a break
		} else {
			plain = 0
		}
		if len(c.parts) > 0 && (lo-c.hi > 6 || plain > mostBlanks) || i-lo > maxPiece {
			c.flush()
			plain = 0
		}
		if i-lo <= maxPiece {
			c.add(lo, i, p[lo:i])
		}
	}
	c.flush()
	s.cbor(v)
	s.repeated(v)
}

// repeated glues what one field of a message of Protocol Buffers holds that stands there several times, as
// tag, length and text.
func (s *scan) repeated(v view) {
	p := v.text
	if len(p) > 32<<10 {
		return
	}
	for i := 0; i+2 < len(p); i++ {
		if p[i]&0x87 != 2 {
			continue
		}
		c := s.pieces(v, 0)
		at := i
		for at+2 < len(p) && p[at] == p[i] {
			end := at + 2 + int(p[at+1])
			if end == at+2 || p[at+1] > 127 || end > len(p) || !solid(p[at+2:end]) {
				break
			}
			c.add(at, end, p[at+2:end])
			at = end
		}
		if len(c.parts) >= 2 {
			i = at - 1
			c.flush()
		}
	}
}

// mostBlanks is how many gaps of text in a row may stand between the pieces of records.
const mostBlanks = 2

func allText(p []byte) bool {
	for _, b := range p {
		if kinds[b]&isText == 0 {
			return false
		}
	}
	return true
}

func (s *scan) cbor(v view) {
	p := v.text
	if len(p) > 32<<10 {
		return
	}
	for i := 0; i < len(p); i++ {
		c := s.pieces(v, 0)
		for at := i; at < len(p) && p[at] > 0x60 && p[at] < 0x78; {
			n := int(p[at] & 0x1f)
			if at+1+n > len(p) || !solid(p[at+1:at+1+n]) {
				break
			}
			c.add(at, at+1+n, p[at+1:at+1+n])
			at += 1 + n
		}
		// Letters look like heads too: a chain begins behind something that is no text, and ends so.
		if len(c.parts) >= 2 && (i > 0 && kinds[p[i-1]]&isText == 0 || c.hi < len(p) && kinds[p[c.hi]]&isText == 0) {
			i = c.hi - 1
			c.flush()
		}
	}
}

func solid(p []byte) bool {
	for _, b := range p {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return true
}

// shown glues the strings that a PDF page shows (ISO 32000-1 §9.4.3).
func (s *scan) shown(v view) {
	p := v.text
	if !bytes.Contains(p, []byte("Tj")) && !bytes.Contains(p, []byte("TJ")) {
		return
	}
	for _, marks := range [][2]byte{{'(', ')'}, {'<', '>'}} {
		c := s.pieces(v, 0)
		for i := 0; i < len(p); i++ {
			if p[i] != marks[0] {
				continue
			}
			n := bytes.IndexByte(p[i:min(len(p), i+maxPiece)], marks[1])
			if n < 0 {
				continue
			}
			if len(c.parts) > 0 && i-c.hi > 64 {
				c.flush()
			}
			c.add(i, i+n+1, p[i+1:i+n])
			i += n
		}
		c.flush()
	}
}
