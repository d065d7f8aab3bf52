package egress

import (
	"fmt"
	"time"
)

// Limits bound what one bottle can hold of the sidecar, and of the world. The zero value of each
// means its default. Whoever meets one reads which it was, and so does the audit log (layer
// "limit").
type Limits struct {
	Connections    int           `json:"connections,omitempty"`      // at once, from the bottle; 1024
	Requests       int           `json:"requests,omitempty"`         // at once, over all connections and streams; 4096
	Held           int           `json:"held,omitempty"`             // waiting for the operator at once; 256
	HeaderBytes    int           `json:"header_bytes,omitempty"`     // of one head, both ways; 64 KiB
	Streams        uint32        `json:"streams,omitempty"`          // of one HTTP/2 connection; 250
	FirstByte      time.Duration `json:"first_byte,omitempty"`       // for a client to begin; 10 s
	FirstByteDeny  time.Duration `json:"first_byte_deny,omitempty"`  // the same where the destination is refused; 1 s
	Head           time.Duration `json:"head,omitempty"`             // for a head once it began; 30 s
	Idle           time.Duration `json:"idle,omitempty"`             // between requests; 5 min
	Stall          time.Duration `json:"stall,omitempty"`            // within a body or a tunnel; 10 min
	TunnelIdle     time.Duration `json:"tunnel_idle,omitempty"`      // of a tcp route's connection, both ways; 2 h
	Total          time.Duration `json:"total,omitempty"`            // of one request or tunnel, from its beginning to its end; 24 h
	Dial           time.Duration `json:"dial,omitempty"`             // resolve, connect and TLS; 20 s
	ResponseHead   time.Duration `json:"response_head,omitempty"`    // until the upstream answers; 15 min
	PooledIdle     time.Duration `json:"pooled_idle,omitempty"`      // of a connection to the upstream; 60 s
	PooledPerRoute int           `json:"pooled_per_route,omitempty"` // kept per route, host and port; 32

	// TotalSent and TotalReceived are the bytes that this sidecar carries to and from all
	// upstreams together: heads, bodies, messages and tunnels. What would go past them is not
	// passed on. 0 means no bound.
	TotalSent     int64 `json:"total_sent,omitempty"`
	TotalReceived int64 `json:"total_received,omitempty"`
}

// check refuses what no default stands for.
func (l Limits) check() error {
	for name, value := range map[string]int64{
		"connections": int64(l.Connections), "requests": int64(l.Requests), "held": int64(l.Held), "header_bytes": int64(l.HeaderBytes),
		"first_byte": int64(l.FirstByte), "first_byte_deny": int64(l.FirstByteDeny), "head": int64(l.Head),
		"idle": int64(l.Idle), "stall": int64(l.Stall), "total": int64(l.Total), "tunnel_idle": int64(l.TunnelIdle), "dial": int64(l.Dial),
		"response_head": int64(l.ResponseHead), "pooled_idle": int64(l.PooledIdle),
		"pooled_per_route": int64(l.PooledPerRoute), "total_sent": l.TotalSent, "total_received": l.TotalReceived,
	} {
		if value < 0 {
			return fmt.Errorf("cannot use limit %s: it is negative", name)
		}
	}
	return nil
}

func (l Limits) withDefaults() Limits {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	def(&l.FirstByte, 10*time.Second)
	def(&l.FirstByteDeny, time.Second)
	def(&l.Head, 30*time.Second)
	def(&l.Idle, 5*time.Minute)
	def(&l.Stall, 10*time.Minute)
	def(&l.TunnelIdle, 2*time.Hour)
	def(&l.Total, 24*time.Hour)
	def(&l.Dial, 20*time.Second)
	def(&l.ResponseHead, 15*time.Minute)
	def(&l.PooledIdle, time.Minute)
	count(&l.Connections, 1024)
	count(&l.Requests, 4096)
	count(&l.Held, 256)
	count(&l.HeaderBytes, 64<<10)
	count(&l.PooledPerRoute, 32)
	if l.Streams == 0 {
		l.Streams = 250
	}
	return l
}
