package dlp

// grams finds many patterns in one pass, letters in either case: a bit for each hash of a
// pattern's first three bytes rules most positions out, and the few that are left are compared.
// On the sizes at hand it is faster than an automaton, whose table does not fit the first cache.
type grams struct {
	bits  [1 << 10]uint64
	heads [1 << 16]uint32 // a hash's first word, counted from one
	words []word
}

type word struct {
	text string // folded
	what any
	next uint32 // of the same hash
}

func gram(v uint32) uint32 { return v * 0x9E3779B1 >> 16 }

func fold(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b | 0x20
	}
	return b
}

func foldTable() *[256]uint8 {
	var t [256]uint8
	for i := range t {
		t[i] = fold(byte(i))
	}
	return &t
}

// add takes a pattern of at least two bytes. One of two bytes is taken once for each byte that
// may follow in a token.
func (g *grams) add(text string, what any) {
	low := []byte(text)
	for i := range low {
		low[i] = fold(low[i])
	}
	if len(low) == 2 {
		for _, b := range []byte("abcdefghijklmnopqrstuvwxyz0123456789_-.~/+=") {
			g.add(string(low)+string(b), what)
		}
		return
	}
	v := uint32(low[0]) | uint32(low[1])<<8 | uint32(low[2])<<16
	h := gram(v)
	g.bits[h>>6] |= 1 << (h & 63)
	g.words = append(g.words, word{string(low), what, g.heads[h]})
	g.heads[h] = uint32(len(g.words))
}

// find calls hit with every place of every pattern that begins in p[lo:hi].
func (g *grams) find(p []byte, lo, hi int, t *[256]uint8, hit func(at int, what any)) {
	hi = min(hi, len(p)-2)
	if lo >= hi {
		return
	}
	v := uint32(t[p[lo]])<<8 | uint32(t[p[lo+1]])<<16
	for i, b := range p[lo+2 : hi+2] {
		v = v>>8 | uint32(t[b])<<16
		h := gram(v)
		if g.bits[h>>6&1023]&(1<<(h&63)) == 0 {
			continue
		}
		for n := g.heads[h&0xffff]; n > 0; n = g.words[n-1].next {
			if startsFolded(p[lo+i:], g.words[n-1].text, t) {
				hit(lo+i, g.words[n-1].what)
			}
		}
	}
}

func startsFolded(p []byte, w string, t *[256]uint8) bool {
	if len(p) < len(w) {
		return false
	}
	for i := range len(w) {
		if t[p[i]] != w[i] {
			return false
		}
	}
	return true
}
