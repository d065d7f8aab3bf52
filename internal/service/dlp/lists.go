package dlp

import (
	"bytes"
	"slices"
	"strconv"
)

// numbers finds lists of numbers that spell text: bytes in decimal, octal, hex or binary.
func (s *scan) numbers(v view) { //nolint:cyclop // one case a form, in the order they are told apart
	p := v.text
	var items [][]byte
	var ends []int
	for i := 0; i < len(p); {
		if class[p[i]]&inHex == 0 || i > 0 && class[p[i-1]]&in64 != 0 && wordByte(p[i-1]) {
			i++
			continue
		}
		if i+1 < len(p) && class[p[i+1]]&inHex == 0 && wordByte(p[i+1]) && p[i+1]|0x20 != 'x' && p[i+1]|0x20 != 'o' {
			i += 2
			continue
		}
		lo := i
		items, ends = items[:0], ends[:0]
		for i < len(p) {
			a := i
			for i < len(p) && (unhex(p[i]) >= 0 || p[i]|0x20 == 'x' || p[i]|0x20 == 'o') && i-a < 1<<16 {
				i++
			}
			if i == a {
				break
			}
			items, ends = append(items, p[a:i]), append(ends, i)
			gap := i
			for i < len(p) && i-gap < 5 && (p[i] == ' ' || p[i] == ',' || p[i] == ':' || p[i] == ';' || p[i] == '-' || p[i] == '\n' || p[i] == '\r' || p[i] == '\t' || p[i] == '|' || p[i] == '.' || p[i] == '_' || p[i] == '/' || p[i] == '"' || p[i] == '\'') {
				i++
			}
			if i == gap || i < len(p) && unhex(p[i]) < 0 {
				break
			}
		}
		if len(items) >= 6 {
			s.spelled(v, lo, ends[len(ends)-1], items)
		} else if len(items) == 1 && len(items[0]) >= 32 {
			s.binary(v, lo, i, items[0])
		}
		if i == lo {
			i++
		}
	}
	s.dump(v)
}

func wordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_'
}

func (s *scan) spelled(v view, lo, hi int, items [][]byte) {
	for _, base := range []struct {
		n    int
		name string
	}{{10, "decimal list"}, {8, "octal list"}, {16, "hex list"}, {2, "binary list"}} {
		var out []byte
		for _, item := range items {
			if base.n == 16 && len(item) > 2 && len(item)%2 == 0 && item[1]|0x20 != 'x' {
				for j := 0; j+2 <= len(item); j += 2 {
					if unhex(item[j]) >= 0 && unhex(item[j+1]) >= 0 {
						out = append(out, byte(unhex(item[j])<<4|unhex(item[j+1])))
					}
				}
				continue
			}
			for _, prefix := range []string{"0x", "0X", "0o", "0b"} {
				if base.n != 10 && len(item) > 2 {
					item = bytes.TrimPrefix(item, []byte(prefix))
				}
			}
			if n, err := strconv.ParseUint(string(item), base.n, 32); err == nil && n < 256 {
				out = append(out, byte(n))
			} else {
				out = append(out, 0)
			}
		}
		s.child(v, lo, hi, out, base.name)
	}
}

// binary reads a run of ones and zeros without separators.
func (s *scan) binary(v view, lo, hi int, text []byte) {
	for skip := range 8 {
		var out []byte
		for part := text[min(skip, len(text)):]; len(part) >= 8; part = part[8:] {
			n, err := strconv.ParseUint(string(part[:8]), 2, 8)
			if err != nil {
				return
			}
			out = append(out, byte(n))
		}
		s.child(v, lo, hi, out, "binary")
	}
}

// dump reads what xxd and hexdump -C print: an offset, hex, and the text once more.
func (s *scan) dump(v view) {
	p := v.text
	if !bytes.Contains(p, []byte("00000010")) && !bytes.Contains(p, []byte("0000010")) && !bytes.Contains(p, []byte("0010")) {
		return
	}
	var out []byte
	lines := 0
	for line := range bytes.SplitSeq(bytes.ReplaceAll(p, []byte(`\n`), []byte("\n")), []byte("\n")) {
		line = bytes.TrimLeft(line, " \t\"")
		off := 0
		for off < len(line) && unhex(line[off]) >= 0 {
			off++
		}
		if off < 4 || off > 16 || off == len(line) {
			continue
		}
		rest := bytes.TrimLeft(line[off:], ": \t")
		if cut := bytes.IndexByte(rest, '|'); cut >= 0 {
			rest = rest[:cut]
		} else if cut := bytes.Index(rest, []byte("  ")); cut > 24 {
			rest = rest[:cut]
		}
		for _, item := range bytes.Fields(rest) {
			ok := len(item)%2 == 0 && len(item) <= 16
			for _, b := range item {
				ok = ok && unhex(b) >= 0
			}
			if !ok {
				break
			}
			for j := 0; j < len(item); j += 2 {
				out = append(out, byte(unhex(item[j])<<4|unhex(item[j+1])))
			}
		}
		lines++
	}
	if lines >= 2 {
		s.child(v, 0, len(p), out, "hex dump")
	}
}

// separated finds text in pieces of one to eight bytes with the same short separator between all.
func (s *scan) separated(v view) {
	p := v.text
	var until [9]int
	for i := 1; i+4 < len(p); i++ {
		sep := p[i]
		if class[sep]&inSep == 0 {
			continue
		}
		for k := 1; k <= 8; k++ {
			d := k + 1
			if i+2*d >= len(p) {
				break
			}
			if p[i+d] != sep || p[i+2*d] != sep || i < until[k] || !wordByte(p[i+1]) {
				continue
			}
			n := 3
			for i+n*d < len(p) && p[i+n*d] == sep {
				n++
			}
			until[k] = i + n*d
			if n*k < 12 && (k < 4 || n < 2) || n*k < 10 {
				continue
			}
			lo := max(0, i-k)
			out := slices.Clone(p[lo:i])
			for j := range n {
				a := i + j*d + 1
				out = append(out, p[a:min(len(p), a+k)]...)
			}
			hi := min(len(p), i+(n-1)*d+1+k)
			for hi < len(p) && tokenByte[p[hi]] && hi-(i+(n-1)*d) < 8 {
				out, hi = append(out, p[hi]), hi+1
			}
			if sep == ' ' && k > 1 && !mixed(out) {
				continue // words of one length
			}
			s.child(v, lo, hi, out, "separated by "+strconv.QuoteRune(rune(sep)))
		}
	}
}

// mixed reports whether letters of both cases, or digits, stand in p.
func mixed(p []byte) bool {
	kinds := uint8(0)
	for _, b := range p {
		if b >= '0' && b <= '9' {
			return true
		}
		kinds |= class[b] & (inUpper | inLower)
	}
	return kinds == inUpper|inLower
}

// joined glues values that stand apart: the strings of an array, the values of an object or a
// form, string literals that are added up.
func (s *scan) joined(v view) {
	if len(v.steps) > 0 && v.steps[len(v.steps)-1] == stepJoined {
		return
	}
	s.quoted(v)
	s.fields(v)
}

const (
	maxPiece = 256
	minGlued = 16
)

func (s *scan) quoted(v view) {
	p := v.text
	lo, n, last := 0, 0, 0
	var out []byte
	flush := func() {
		if n >= 2 && len(out) >= minGlued {
			s.child(v, lo, last, slices.Clone(out), stepJoined)
		}
		out, n = out[:0], 0
	}
	for i := 0; i < len(p); {
		if q := p[i]; q != '"' && q != '\'' && q != '`' {
			i++
			continue
		}
		q := p[i]
		end := bytes.IndexByte(p[i+1:min(len(p), i+1+maxPiece)], q)
		if end < 0 {
			i++
			flush()
			continue
		}
		piece := p[i+1 : i+1+end]
		after := i + 2 + end
		k := after
		for k < len(p) && (p[k] == ' ' || p[k] == '\n') {
			k++
		}
		switch {
		case q == '"' && k < len(p) && p[k] == ':':
			i = after // a key: its value follows
		case len(piece) == 0 || bytes.ContainsAny(piece, " \t\n<>(){};,"):
			flush()
			i++
			if len(piece) == 0 || q == '"' {
				i = after
			}
		default:
			if n == 0 {
				lo = i
			} else if i-last > 80 {
				flush()
				lo = i
			}
			out, n, last = append(out, piece...), n+1, after
			i = after
			if len(out) > 8192 {
				flush()
			}
		}
	}
	flush()
}

// fields glues the values of a query or a form, and of lines of "name: value".
func (s *scan) fields(v view) {
	p := v.text
	for _, form := range []struct{ between, assign byte }{{'&', '='}, {'\n', ':'}, {'\n', '='}, {';', '='}, {',', '='}} {
		if bytes.IndexByte(p, form.between) < 0 || bytes.IndexByte(p, form.assign) < 0 {
			continue
		}
		lo, n, at := 0, 0, 0
		var out []byte
		flush := func(hi int) {
			if n >= 2 && len(out) >= minGlued {
				s.child(v, lo, hi, slices.Clone(out), stepJoined)
			}
			out, n = out[:0], 0
		}
		for part := range bytes.SplitSeq(p, []byte{form.between}) {
			_, value, ok := bytes.Cut(part, []byte{form.assign})
			value = bytes.Trim(value, " \t\r\"',")
			if !ok || len(value) == 0 || len(value) > maxPiece || bytes.ContainsAny(value, " \t<>(){};\"") {
				flush(at)
			} else {
				if n == 0 {
					lo = at
				}
				out, n = append(out, value...), n+1
			}
			at += len(part) + 1
		}
		flush(len(p))
	}
}
