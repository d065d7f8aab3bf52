package egress

import (
	"context"
	"sync"
	"time"
)

// abandonCheck is how often waiting exchanges are asked whether their agent is still there.
const abandonCheck = time.Second

// waiting are the HTTP/1 exchanges in progress. While one waits for its upstream nobody reads
// from the agent, so that a look at the socket now and then has to find that the agent left.
type waiting struct {
	mu  sync.Mutex // guards all
	all map[*agentConn]context.CancelFunc
}

func (w *waiting) add(c *agentConn, cancel context.CancelFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[c] = cancel
}

func (w *waiting) remove(c *agentConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, c)
}

// cancelAbandoned cancels the exchanges whose agent has closed its side.
func (w *waiting) cancelAbandoned() {
	w.mu.Lock()
	conns := make(map[*agentConn]context.CancelFunc, len(w.all))
	for c, cancel := range w.all {
		conns[c] = cancel
	}
	w.mu.Unlock()
	for c, cancel := range conns {
		if c.gone() {
			cancel()
		}
	}
}
