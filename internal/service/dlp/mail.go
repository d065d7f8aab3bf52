package dlp

import (
	"bytes"
	"strings"
)

// uu reads the lines that uuencode writes, with or without what it writes around them.
func (s *scan) uu(v view) {
	p := v.text
	text := p
	if bytes.IndexByte(text, '\n') < 0 && bytes.Contains(text, []byte("begin ")) {
		text = bytes.ReplaceAll(text, []byte(`\n`), []byte("\n"))
	}
	var out, other []byte
	lo, at := 0, 0
	flush := func() {
		s.child(v, min(lo, len(p)), min(at, len(p)), out, "uuencode")
		s.perhaps(v, min(lo, len(p)), min(at, len(p)), other, "xxencode")
		out, other = nil, nil
	}
	framed := bytes.Contains(text, []byte("begin "))
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		line = bytes.TrimRight(line, "\r")
		part := uuLine(line)
		if n := len(line) - uuFull; part == nil && len(out) == 0 && n > 0 && line[n] == 'M' && !wordByte(line[n-1]) {
			if part = uuLine(line[n:]); part != nil {
				lo = at + n // behind what stands before it
			}
		}
		var xx []byte
		if framed {
			xx = xxLine(line)
		}
		if part == nil && xx == nil {
			flush()
			lo = at + len(line) + 1
		}
		out, other = append(out, part...), append(other, xx...)
		at += len(line) + 1
	}
	flush()
}

// uuFull is how long a full line is.
const uuFull = 61

// xxLine is uuLine in the alphabet of xxencode, which is translated to uuencode's.
func xxLine(line []byte) []byte {
	turned := make([]byte, len(line))
	for i, b := range line {
		if digitsXX[b] == none {
			return nil
		}
		turned[i] = ' ' + digitsXX[b]
	}
	return uuLine(turned)
}

var digitsXX = alphabet("+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

// uuLine is nil for a line that tells another length than it has.
func uuLine(line []byte) []byte {
	if len(line) < 5 || line[0] <= ' ' || line[0] > '`' {
		return nil
	}
	n := int(line[0]-' ') & 63
	line = line[1:]
	// Blanks at the end may have been lost, and some write one sign more.
	if want := (n + 2) / 3 * 4; n == 0 || len(line) > want+1 || len(line) < want-2 {
		return nil
	}
	var part []byte
	for ; len(line) > 1 && len(part) < n; line = line[min(4, len(line)):] {
		var c [4]byte
		for k := range c {
			if k < len(line) {
				if line[k] < ' ' || line[k] > '`' {
					return nil
				}
				c[k] = (line[k] - ' ') & 63
			}
		}
		part = append(part, c[0]<<2|c[1]>>4, c[1]<<4|c[2]>>2, c[2]<<6|c[3])
	}
	return part[:min(n, len(part))]
}

// yenc reads what stands between yEnc's lines.
func (s *scan) yenc(v view) {
	p := v.text
	at := bytes.Index(p, []byte("=ybegin"))
	if at < 0 {
		return
	}
	var out []byte
	for line := range bytes.SplitSeq(p[at:], []byte{'\n'}) {
		if bytes.HasPrefix(line, []byte("=y")) {
			continue
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		for i := 0; i < len(line); i++ {
			b := line[i]
			if b == '=' && i+1 < len(line) {
				i++
				b = line[i] - 64
			}
			out = append(out, b-42)
		}
	}
	s.child(v, at, len(p), out, "yenc")
}

// words glues the encoded words of RFC 2047 that follow each other.
func (s *scan) words(v view) {
	p := v.text
	at := bytes.Index(p, []byte("=?"))
	if at < 0 || bytes.Count(p[at:], []byte("=?")) < 2 {
		return
	}
	var out []byte
	for word := range bytes.SplitSeq(p[at:], []byte("=?")) {
		part := bytes.SplitN(word, []byte{'?'}, 4)
		if len(part) >= 3 && len(part[1]) == 1 {
			out = append(out, part[2]...)
		}
	}
	s.child(v, at, len(p), out, stepJoined)
}

// strings reads string literals that hold escaped quotes and breaks, as text within JSON does. It returns
// where the long ones stand.
func (s *scan) strings(v view) (long []zone) {
	p := v.text
	for i := 0; i < len(p); {
		n := bytes.IndexByte(p[i:], '\\')
		if n < 0 || i+n+1 >= len(p) {
			return long
		}
		at := i + n
		if strings.IndexByte("\"nrt\\/'", p[at+1]) < 0 {
			i = at + 1
			continue
		}
		lo := at
		for lo > i && p[lo-1] != '"' {
			lo--
		}
		out := bytes.Clone(p[lo:at])
		for i = at; i < len(p) && p[i] != '"'; {
			if p[i] == '\\' && i+1 < len(p) {
				c := p[i+1]
				switch c {
				case 'n':
					c = '\n'
				case 'r':
					c = '\r'
				case 't':
					c = '\t'
				case 'u':
					if r, k := backslash(p[i:]); k > 0 {
						out, i = append(out, r...), i+k
						continue
					}
				}
				out, i = append(out, c), i+2
				continue
			}
			out, i = append(out, p[i]), i+1
		}
		s.child(v, lo, i, out, "string")
		if len(out) >= longString && worth(out) {
			long = append(long, zone{lo, i})
		}
	}
	return long
}

// longString is how long what a literal says is that need not be read as it stands too.
const longString = 1024

// beside calls do with the parts of v that are not within long literals, and some of what stands there.
func (v view) beside(long []zone, do func(view)) {
	const edge = 256
	at := 0
	for _, z := range long {
		do(v.part(zone{at, min(len(v.text), z.lo+edge)}))
		at = max(at, z.hi-edge)
	}
	do(v.part(zone{at, len(v.text)}))
}
