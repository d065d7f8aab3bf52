package dlp

import "encoding/binary"

// grams finds many patterns in one pass, letters in either case: a bit for each hash of a
// pattern's first three bytes rules most positions out, and the few that are left are compared.
// On the sizes at hand it is faster than an automaton, whose table does not fit the first cache.
type grams struct {
	bits  [1 << 10]uint64
	heads [1 << 13]uint32 // a hash's first word, counted from one
	words []word
}

type word struct {
	text string // folded
	what any
	next uint32 // of the same hash
	// first are its first eight bytes, or fewer under mask, without regard to case.
	first, mask uint64
}

func gram(v uint32) uint32 { return v * 0x9E3779B1 >> 16 }

// caseless is or-ed to eight bytes at once. It makes more than letters alike, which only costs a
// comparison.
const caseless = 0x2020202020202020

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
	eachWord(text, func(low []byte) { g.word(low, what) })
}

// eachWord calls do with a pattern in lower case, and with each of three bytes that one of two stands for.
func eachWord(text string, do func([]byte)) {
	low := []byte(text)
	for i := range low {
		low[i] = fold(low[i])
	}
	if len(low) > 2 {
		do(low)
		return
	}
	for _, b := range []byte("abcdefghijklmnopqrstuvwxyz0123456789_-.~/+=") {
		do(append(low[:2:2], b))
	}
}

func (g *grams) word(low []byte, what any) {
	v := uint32(low[0]) | uint32(low[1])<<8 | uint32(low[2])<<16 | caseless&0xffffff
	h := gram(v)
	g.bits[h>>6] |= 1 << (h & 63)
	w := word{text: string(low), what: what, next: g.heads[h>>3]}
	for i := range min(len(low), 8) {
		w.first |= uint64(low[i]|0x20) << (8 * i)
		w.mask |= 0xff << (8 * i)
	}
	g.words = append(g.words, w)
	g.heads[h>>3] = uint32(len(g.words))
}

// find calls hit with every place of every pattern that begins in p[lo:hi].
func (g *grams) find(p []byte, lo, hi int, t *[256]uint8, hit func(at int, what any)) {
	const step = 6 // the places whose three bytes one load of eight holds
	i := lo
	for ; i < hi && i+8 <= len(p); i += step {
		x := binary.LittleEndian.Uint64(p[i:]) | caseless
		if (g.has(x)|g.has(x>>8)|g.has(x>>16)|g.has(x>>24)|g.has(x>>32)|g.has(x>>40))&1 == 0 {
			continue
		}
		for k := range min(step, hi-i) {
			if g.has(x>>(8*k))&1 != 0 {
				g.compare(p, i+k, x>>(8*k), t, hit)
			}
		}
	}
	for ; i < hi && i+3 <= len(p); i++ {
		x := uint64(p[i]) | uint64(p[i+1])<<8 | uint64(p[i+2])<<16 | caseless
		if g.has(x)&1 != 0 {
			g.compare(p, i, x, t, hit)
		}
	}
}

// has has its lowest bit set where a pattern may begin with the first three bytes of x.
func (g *grams) has(x uint64) uint64 {
	h := gram(uint32(x) & 0xffffff)
	return g.bits[h>>6&1023] >> (h & 63)
}

func (g *grams) compare(p []byte, at int, x uint64, t *[256]uint8, hit func(at int, what any)) {
	eight := len(p)-at >= 8
	if eight {
		x = binary.LittleEndian.Uint64(p[at:]) | caseless
	}
	for n := g.heads[gram(uint32(x)&0xffffff)>>3&(1<<13-1)]; n > 0; {
		w := &g.words[n-1]
		n = w.next
		if (!eight || (x^w.first)&w.mask == 0) && startsFolded(p[at:], w.text, t) {
			hit(at, w.what)
		}
	}
}

// holds reports whether a pattern stands anywhere in p.
func (g *grams) holds(p []byte, t *[256]uint8) bool {
	const step = 6 // as in find
	i := 0
	for ; i+8 <= len(p); i += step {
		x := binary.LittleEndian.Uint64(p[i:]) | caseless
		if (g.has(x)|g.has(x>>8)|g.has(x>>16)|g.has(x>>24)|g.has(x>>32)|g.has(x>>40))&1 == 0 {
			continue
		}
		for k := range step {
			if g.has(x>>(8*k))&1 != 0 && g.holdsAt(p, i+k, x>>(8*k), t) {
				return true
			}
		}
	}
	for ; i+3 <= len(p); i++ {
		x := uint64(p[i]) | uint64(p[i+1])<<8 | uint64(p[i+2])<<16 | caseless
		if g.has(x)&1 != 0 && g.holdsAt(p, i, x, t) {
			return true
		}
	}
	return false
}

func (g *grams) holdsAt(p []byte, at int, x uint64, t *[256]uint8) bool {
	for n := g.heads[gram(uint32(x)&0xffffff)>>3&(1<<13-1)]; n > 0; n = g.words[n-1].next {
		if startsFolded(p[at:], g.words[n-1].text, t) {
			return true
		}
	}
	return false
}

// begins reports whether p begins with a pattern of four bytes, or of three with a sign.
func (g *grams) begins(p []byte, t *[256]uint8) bool {
	x := uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | caseless
	if g.has(x)&1 == 0 {
		return false
	}
	for n := g.heads[gram(uint32(x)&0xffffff)>>3&(1<<13-1)]; n > 0; n = g.words[n-1].next {
		w := g.words[n-1].text
		if (len(w) >= 4 || !wordByte(w[len(w)-1]) || w[len(w)-1] == '_') && startsFolded(p, w, t) {
			return true
		}
	}
	return false
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
