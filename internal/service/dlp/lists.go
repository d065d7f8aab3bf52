package dlp

import (
	"bytes"
	"encoding/binary"
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
			for i < len(p) && i-gap < 16 && (p[i] == ' ' || p[i] == ',' || p[i] == ':' || p[i] == ';' || p[i] == '-' || p[i] == '\n' || p[i] == '\r' || p[i] == '\t' || p[i] == '|' || p[i] == '.' || p[i] == '_' || p[i] == '/' || p[i] == '"' || p[i] == '\'') {
				i++
			}
			if i == gap || i < len(p) && unhex(p[i]) < 0 {
				break
			}
		}
		for _, item := range items {
			s.triples(v, lo, ends[len(ends)-1], item)
			if len(item) >= 32 && len(items) < 6 {
				s.binary(v, lo, ends[len(ends)-1], item)
			}
		}
		if len(items) >= 3 {
			s.wideNumbers(v, lo, ends[len(ends)-1], items)
		}
		if len(items) >= 6 {
			s.spelled(v, lo, ends[len(ends)-1], items)
		}
		if i == lo {
			i++
		}
	}
	s.figures(v)
	s.dump(v)
}

// figures finds numbers with any text between them, the same each time or the same two in turn:
// calls of chr, literals with a suffix, members with an index.
func (s *scan) figures(v view) {
	p := v.text
	var items, half [][]byte
	var gaps [2][]byte
	lo, end := 0, 0
	flush := func() {
		if len(items) >= 6 {
			s.spelled(v, lo, end, items)
			if len(items) >= 12 {
				for first := range 2 {
					half = half[:0]
					for i := first; i < len(items); i += 2 {
						half = append(half, items[i])
					}
					s.spelled(v, lo, end, half)
				}
			}
		}
		items, gaps = items[:0], [2][]byte{}
	}
	for i := 0; i < len(p); {
		if p[i] < '0' || p[i] > '9' {
			i++
			continue
		}
		a := i
		if p[i] == '0' && i+1 < len(p) && (p[i+1]|0x20 == 'x' || p[i+1]|0x20 == 'o' || p[i+1]|0x20 == 'b') {
			i += 2
		}
		for i < len(p) && unhex(p[i]) >= 0 && i-a < 12 {
			i++
		}
		if n := len(items); n > 0 {
			gap := p[end:a]
			old := gaps[n&1]
			switch {
			case len(gap) > maxGap:
				flush()
			case old != nil && !bytes.Equal(bytes.TrimSpace(old), bytes.TrimSpace(gap)):
				last := slices.Clone(goesWith(items, gaps[(n-1)&1], gap))
				flush()
				items, gaps = append(items, last...), [2][]byte{gap, gap}
				lo = max(0, a-len(bytes.Join(items, gap))-len(gap))
			default:
				gaps[n&1] = gap
			}
		}
		if len(items) == 0 {
			lo = a
		}
		items, end = append(items, p[a:i]), i
	}
	flush()
}

// goesWith are the last items, of a list that ends, with which the next begins: two where the same stood
// between them as behind them.
func goesWith(items [][]byte, before, gap []byte) [][]byte {
	if n := len(items); n < 2 || !bytes.Equal(before, gap) {
		return items[n-1:]
	}
	return items[len(items)-2:]
}

func wordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_'
}

func (s *scan) spelled(v view, lo, hi int, items [][]byte) {
	s.spell(v, lo, hi, items, "")
	if len(items) >= 12 {
		s.spell(v, lo, hi, backwards(items), "reversed, ")
	}
}

func (s *scan) spell(v view, lo, hi int, items [][]byte, turned string) {
	out := make([]byte, 0, len(items))
	for _, base := range []struct {
		n    int
		name string
	}{{10, "decimal list"}, {8, "octal list"}, {16, "hex list"}, {2, "binary list"}} {
		out = out[:0]
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
			out = append(out, octet(item, base.n))
		}
		if turned != "" {
			s.perhaps(v, lo, hi, out, turned+base.name)
			continue
		}
		s.child(v, lo, hi, out, base.name)
		if base.n == 10 && len(out) <= tiny {
			s.combined(v.next(lo, hi, base.name), out)
		}
	}
}

// octet is the byte that a number stands for, or zero.
func octet(number []byte, base int) byte {
	n := 0
	for _, b := range number {
		d := unhex(b)
		if d < 0 || d >= base {
			return 0
		}
		if n = n*base + d; n > 0xff {
			return 0
		}
	}
	return byte(n)
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

// maxPeriod is how far apart the same signs may stand between pieces.
const maxPeriod = 12

// periodic finds text in pieces of one length with the same signs between all of them: letters
// apart by spaces, quoted one by one, with a filler, in words of two or four bytes.
func (s *scan) periodic(v view) {
	p := v.text
	if v.guess >= maxGuess {
		return
	}
	for d := 2; d <= maxPeriod; d++ {
		// As many of the same sign in a row, each d bytes from the last, make a period.
		times := max((9+d-2)/(d-1), 3)
		if d < 5 {
			times = max(times, 4)
		}
		for i := 0; i+d < len(p); {
			at := repeats(p, i, d, times)
			if at < 0 {
				break
			}
			i = s.period(v, at, d) + 1
		}
	}
}

// repeats returns the first place from on with the same sign there and times more, each d bytes on, or
// -1. It looks at eight places at once.
func repeats(p []byte, from, d, times int) int {
	i := from
	for ; i+times*d+8 <= len(p); i += 8 {
		same := ^uint64(0)
		last := binary.LittleEndian.Uint64(p[i:])
		for k := 1; k <= times; k++ {
			next := binary.LittleEndian.Uint64(p[i+k*d:])
			x := last ^ next
			// The highest bit of each byte of x that is zero, and perhaps of one behind it.
			if same &= (x - 0x0101010101010101) &^ x & 0x8080808080808080; same == 0 {
				break
			}
			last = next
		}
		if same != 0 {
			if at := firstRepeat(p, i, i+8, d, times); at >= 0 {
				return at
			}
		}
	}
	return firstRepeat(p, i, len(p)-times*d, d, times)
}

func firstRepeat(p []byte, lo, hi, d, times int) int {
	for i := lo; i < hi; i++ {
		k := 1
		for k <= times && p[i+k*d] == p[i] {
			k++
		}
		if k > times {
			return i
		}
	}
	return -1
}

// period reads the pieces around the sign at, which comes again each d bytes, and returns where
// they end.
func (s *scan) period(v view, at, d int) int {
	p := v.text
	lo, hi := at, at
	for hi+d < len(p) && p[hi+d] == p[at] {
		hi += d
	}
	for lo >= d && p[lo-d] == p[at] {
		lo -= d
	}
	// The other signs that stay the same.
	var same [maxPeriod]bool
	same[0] = true
	signs := 1
	for k := 1; k < d; k++ {
		i := lo + k
		for i+d < hi && p[i] == p[i+d] {
			i += d
		}
		if same[k] = i+d >= hi; same[k] {
			signs++
		}
	}
	keep := d - signs
	if keep == 0 || keep > 8 || (hi-lo)/d*keep < 8 {
		return hi
	}
	first, end := max(0, lo-d+1), min(len(p), hi+d)
	out := make([]byte, 0, min(end-first+2*d, (end-first)/d*(keep+1)+4*d))
	for i := first; i < end; i++ {
		if !same[((i-lo)%d+d)%d] {
			out = append(out, p[i])
		}
	}
	for end < len(p) && keep > 1 && tokenByte[p[end]] && end-hi < 2*d {
		out, end = append(out, p[end]), end+1
	}
	if p[at] == ' ' && keep > 1 && !mixed(out) {
		return hi // words of one length
	}
	s.apart(v, first, end, out, stepEvery+strconv.Itoa(d)+" bytes", keep == 1)
	return hi
}

// apart takes what stood apart. Where a text is nothing but single letters, that is no guess.
func (s *scan) apart(v view, lo, hi int, out []byte, step string, single bool) {
	if single && 10*(hi-lo) >= 9*len(v.text) && varied(out) {
		s.child(v, lo, hi, out, step)
		return
	}
	s.perhaps(v, lo, hi, out, step)
}

// varied reports whether there is more to a text than a few signs in turn.
func varied(p []byte) bool {
	var seen [256]bool
	n := 0
	for _, b := range p {
		if !seen[b] {
			seen[b] = true
			n++
		}
	}
	return n >= 12
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
