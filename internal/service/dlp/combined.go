package dlp

import "strconv"

const (
	maxCombined = 4096
	maxKeys     = 64  // of one text that are followed
	combinedBy  = 640 // bytes on either side of a pattern that are read with its key
)

// steps finds patterns in text that was combined with one byte by exclusive or, whatever the byte:
// the differences between neighbours stay. A letter's case is one bit of them, which is left out.
type steps struct {
	two   [1 << 8]uint64  // of patterns of three bytes, all of their bits
	three [1 << 10]uint64 // of longer ones, hashed
	heads [1 << 10]uint32 // a first and a second difference's first pattern, counted from one
	words []word
}

// stepOf is what two neighbours differ in, without their case, in seven bits.
func stepOf(a, b byte) uint32 {
	d := uint32(a ^ b)
	return d&0x1f | d>>1&0x60
}

func (g *steps) add(text string, what any) {
	eachWord(text, func(low []byte) {
		d := stepOf(low[0], low[1]) | stepOf(low[1], low[2])<<7
		if len(low) > 3 {
			h := gram(d | stepOf(low[2], low[3])<<14)
			g.three[h>>6] |= 1 << (h & 63)
		} else {
			g.two[d>>6] |= 1 << (d & 63)
		}
		g.words = append(g.words, word{text: string(low), what: what, next: g.heads[d&0x3ff]})
		g.heads[d&0x3ff] = uint32(len(g.words))
	})
}

// find calls hit with each place of each pattern, and the byte that it was combined with.
func (g *steps) find(p []byte, hit func(at int, key byte, w *word)) {
	if len(p) < 4 {
		return
	}
	d := stepOf(p[0], p[1])<<7 | stepOf(p[1], p[2])<<14
	for i := 0; i+3 < len(p); i++ {
		d = d>>7 | stepOf(p[i+2], p[i+3])<<14
		h, two := gram(d), d&(1<<14-1)
		if (g.three[h>>6&1023]>>(h&63)|g.two[two>>6&255]>>(two&63))&1 == 0 {
			continue
		}
		for n := g.heads[d&0x3ff]; n > 0; {
			w := &g.words[n-1]
			n = w.next
			key := p[i] ^ w.text[0]
			if combinedWith(p[i:], w.text, key) {
				hit(i, key, w)
			}
			if key ^= 0x20; class[w.text[0]]&inLower != 0 && combinedWith(p[i:], w.text, key) {
				hit(i, key, w)
			}
		}
	}
}

func combinedWith(p []byte, w string, key byte) bool {
	if len(p) < len(w) || key == 0 {
		return false
	}
	for i := range len(w) {
		if fold(p[i]^key) != w[i] {
			return false
		}
	}
	return true
}

// combined reads bytes as text combined with one byte by exclusive or, wherever that makes a
// pattern of them.
func (s *scan) combined(v view, p []byte) { //nolint:cyclop // both ends of a run
	if len(p) > maxCombined || len(p) < minRun {
		return
	}
	type read struct {
		key byte
		hi  int
	}
	var done []read
	s.t.steps.find(p, func(at int, key byte, w *word) {
		for _, d := range done {
			if d.key == key && at < d.hi {
				return
			}
		}
		if hit, ok := w.what.(ruleHit); ok && s.dismissedUnder(p, at, key, hit) {
			return
		}
		lo, hi, longest, by := at, at, 0, combinedBy
		if hit, ok := w.what.(ruleHit); ok && hit.rule.Long {
			by = maxCombined
		}
		for run := 0; hi < len(p) && hi-at < by && shows(p[hi]^key); hi++ {
			if run++; !tokenByte[p[hi]^key] && p[hi]^key != '!' {
				run = 0
			}
			longest = max(longest, run)
		}
		for run := 0; lo > 0 && at-lo < combinedBy && shows(p[lo-1]^key); lo-- {
			if run++; !tokenByte[p[lo-1]^key] && p[lo-1]^key != '!' {
				run = 0
			}
			longest = max(longest, run)
		}
		if hi-lo < minRun || longest < minPart {
			return
		}
		if len(done) >= maxKeys {
			return
		}
		done = append(done, read{key, hi})
		out := make([]byte, hi-lo)
		for i := range out {
			out[i] = p[lo+i] ^ key
		}
		s.leaf(v.next(0, len(p), "xor "+strconv.Itoa(int(key))), out)
	})
}

// combinedFar is combined for a text of any length. Most are clean, so only those parts are read in which
// one byte stands as often as a blank does in text, and is none.
func (s *scan) combinedFar(v view, p []byte) {
	const part, around = maxCombined / 2, maxCombined / 4
	for at := 0; at < len(p); at += part {
		if !skewed(p[at:min(len(p), at+part)]) {
			continue
		}
		chunk := v
		lo, hi := max(0, at-around), min(len(p), at+part+around)
		if len(v.steps) == 0 {
			chunk.at, chunk.ends = v.at+lo, v.ends && hi == len(p)
		}
		s.combined(chunk, p[lo:hi])
	}
}

// uneven reports whether any part of a text is skewed.
func uneven(p []byte) bool {
	for at := 0; at < len(p); at += maxCombined / 2 {
		if part := p[at:min(len(p), at+maxCombined/2)]; len(part) >= 1024 && skewed(part) {
			return true
		}
	}
	return false
}

// skewed looks at one byte in thirty-two, and where that may be at one in four.
func skewed(p []byte) bool {
	if len(p) < 1024 {
		return len(p) >= minRun
	}
	return frequent(p, 32) && frequent(p, 4)
}

// frequent reports whether a byte that is no blank and no zero stands as often as a blank does in text
// that has none, or in what is no text.
func frequent(p []byte, step int) bool {
	var seen [256]uint16
	n, most, lower := 0, 0, 0
	for i := 0; i+step <= len(p); i += step {
		n++
		b := p[i]
		if kinds[b]&isLower != 0 {
			lower++
		}
		if seen[b]++; seen[b] > seen[most] {
			most = int(b)
		}
	}
	if 40*int(seen[' ']) > n && 4*lower > n {
		return false // it is text as it stands
	}
	return int(seen[most])*14 >= n && most != ' ' && most != 0
}

// dismissedUnder is dismissed for bytes that are combined with a key.
func (s *scan) dismissedUnder(p []byte, at int, key byte, hit ruleHit) bool {
	lo, hi := max(0, at-200), min(len(p), at+200)
	if hit.rule.Glued {
		for lo, hi = at, at; hi < len(p) && hi-at < block+1 && solidByte[p[hi]^key]; hi++ {
		}
		if hi < len(p) && hi-at < minRun {
			return true
		}
		hi = min(len(p), hi+1)
	}
	around := s.turned[:hi-lo]
	for i := range around {
		around[i] = p[lo+i] ^ key
	}
	s.mixed.reset()
	return s.dismissed(view{text: around, leaf: true}, nil, at-lo, hit)
}

// shows reports whether a byte is a printable one or a break.
func shows(b byte) bool { return b >= ' ' && b <= '~' || b == '\n' }
