package sidecar

import (
	"hash/maphash"
	"sync"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// maxCleared is how many heads are remembered.
const maxCleared = 1024

// cleared remembers the heads in which one engine found nothing: an agent sends the same one again
// and again. They are known by two keyed hashes, which nobody outside can aim at.
type cleared struct {
	one, two maphash.Seed

	mu     sync.Mutex // guards what follows
	engine *dlp.Engine
	heads  map[[2]uint64]bool
}

func newCleared() *cleared {
	return &cleared{one: maphash.MakeSeed(), two: maphash.MakeSeed(), heads: map[[2]uint64]bool{}}
}

// sum names a head under these detectors.
func (c *cleared) sum(text []byte, use dlp.Detectors) [2]uint64 {
	var kinds byte
	for i, on := range [...]bool{use.Patterns, use.Known, use.Entropy} {
		if on {
			kinds |= 1 << i
		}
	}
	text = append(text, kinds)
	return [2]uint64{maphash.Bytes(c.one, text), maphash.Bytes(c.two, text)}
}

func (c *cleared) has(engine *dlp.Engine, sum [2]uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine == engine && c.heads[sum]
}

func (c *cleared) add(engine *dlp.Engine, sum [2]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.engine != engine || len(c.heads) >= maxCleared {
		c.engine, c.heads = engine, map[[2]uint64]bool{}
	}
	c.heads[sum] = true
}
