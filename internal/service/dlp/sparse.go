package dlp

import (
	"encoding/binary"
	"strings"
)

// sparse finds a few patterns in what holds next to none of them. It looks at every other place of the
// text, so that a pattern is known by two of its threes of bytes, one at an even place and one at an odd
// one: by those that stand in the fewest words.
type sparse struct {
	reach int // of the last of those threes from its pattern's beginning
	bits  [1 << 10]uint64
	heads [1 << 13]uint32 // a hash's first link, counted from one
	links []link
	words []word
}

type link struct{ word, back, next uint32 }

// add takes what grams.add takes.
func (g *sparse) add(text string, what any) {
	eachWord(text, func(low []byte) {
		n := uint32(len(g.words))
		g.words = append(g.words, word{text: string(low), what: what})
		for odd := range 2 {
			best := -1
			for i := odd; i+2 < len(low); i += 2 {
				if best < 0 || rarity(low[i:i+3]) > rarity(low[best:best+3]) {
					best = i
				}
			}
			// The last two with whatever follows: where there is no other, or they end in a sign.
			if i := len(low) - 2; i%2 == odd && (best < 0 || !wordByte(low[i+1]) && rarity(low[i:]) > rarity(low[best:best+3])) {
				for b := range 256 {
					if b&caseless == caseless&0xff { // the others hash alike
						g.link([]byte{low[i], low[i+1], byte(b)}, n, uint32(i))
					}
				}
				continue
			}
			g.link(low[best:], n, uint32(best))
		}
	})
}

// rarity is greater for what stands in fewer words.
func rarity(p []byte) int {
	sum := 0
	for _, b := range p {
		if i := strings.IndexByte("etaoinshrdlcumwfgypbvkjxqz", b); i >= 0 {
			sum += i
		} else {
			sum += 40
		}
	}
	return sum
}

func (g *sparse) link(p []byte, n, back uint32) {
	g.reach = max(g.reach, int(back))
	h := gram(uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16 | caseless&0xffffff)
	g.bits[h>>6] |= 1 << (h & 63)
	g.links = append(g.links, link{n, back, g.heads[h>>3]})
	g.heads[h>>3] = uint32(len(g.links))
}

// find calls hit with every place of every pattern that begins in p[lo:hi].
func (g *sparse) find(p []byte, lo, hi int, t *[256]uint8, hit func(at int, what any)) {
	const step = 6 // the places whose three bytes one load of eight holds, every other one
	i, end := lo, hi+g.reach
	for ; i < end && i+8 <= len(p); i += step {
		x := binary.LittleEndian.Uint64(p[i:]) | caseless
		if (g.has(x)|g.has(x>>16)|g.has(x>>32))&1 == 0 {
			continue
		}
		for k := 0; k < step; k += 2 {
			if g.has(x>>(8*k))&1 != 0 {
				g.compare(p, i+k, lo, hi, x>>(8*k), t, hit)
			}
		}
	}
	for ; i < end && i < len(p); i += 2 {
		var last [3]byte // what is behind the text is any byte
		copy(last[:], p[i:])
		x := uint64(last[0]) | uint64(last[1])<<8 | uint64(last[2])<<16 | caseless
		if g.has(x)&1 != 0 {
			g.compare(p, i, lo, hi, x, t, hit)
		}
	}
}

func (g *sparse) has(x uint64) uint64 {
	h := gram(uint32(x) & 0xffffff)
	return g.bits[h>>6&1023] >> (h & 63)
}

func (g *sparse) compare(p []byte, at, lo, hi int, x uint64, t *[256]uint8, hit func(at int, what any)) {
	for n := g.heads[gram(uint32(x)&0xffffff)>>3&(1<<13-1)]; n > 0; {
		l := &g.links[n-1]
		n = l.next
		w, i := &g.words[l.word], at-int(l.back)
		if i >= lo && i < hi && startsFolded(p[i:], w.text, t) {
			hit(i, w.what)
		}
	}
}
