package sidecar

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// counter passes events on to the log and counts them for the stats.
type counter struct {
	log                                     atomic.Pointer[audit.Log]
	allowed, denied, alarms, sent, received atomic.Int64
	requests, refused                       atomic.Int64
	layers                                  [10]atomic.Int64 // denials, in the order of layers
	last                                    atomic.Int64     // when the agent last asked for anything, in Unix nanoseconds
}

// Record implements audit.Sink.
func (c *counter) Record(e audit.Event) {
	switch e.Verdict {
	case "allow":
		c.allowed.Add(1)
	case "deny":
		c.denied.Add(1)
		c.layers[layerOf(e.Layer)].Add(1)
	}
	if e.Kind == "lifecycle" && e.Message == audit.AgentStarted { // so far it was the self-check
		c.requests.Store(0)
		c.refused.Store(0)
		c.last.Store(0)
	}
	if e.Verdict != "" && e.Kind != "proposal" {
		c.last.Store(time.Now().UnixNano())
	}
	if e.Asked() && e.Verdict != "" {
		c.requests.Add(1)
		if e.Verdict == "deny" {
			c.refused.Add(1)
		}
	}
	if e.Kind == "alarm" {
		c.alarms.Add(1)
	}
	c.sent.Add(e.Sent)
	c.received.Add(e.Received)
	if log := c.log.Load(); log != nil {
		log.Record(e)
	}
}

// layers are what denials are counted by; what is none of them counts as the last.
func layers() [10]string {
	return [10]string{policy.LayerEgress, "dns", "dlp", policy.LayerAddress, policy.LayerProtocol, policy.LayerGit, policy.LayerLimit, "credentials", "upstream", "other"}
}

func layerOf(name string) int {
	all := layers()
	if i := slices.Index(all[:], name); i >= 0 {
		return i
	}
	return len(all) - 1
}

func (c *counter) deniedBy() map[string]int64 {
	by := map[string]int64{}
	for i, name := range layers() {
		if n := c.layers[i].Load(); n > 0 {
			by[name] = n
		}
	}
	return by
}
