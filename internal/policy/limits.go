package policy

import (
	"errors"
	"strconv"
)

// Limits bound what one bottle may use of its sidecar and carry through it. 0 means the sidecar's
// own default; for the totals of bytes, no bound.
type Limits struct {
	Connections int `json:"connections,omitempty"` // at once, from the bottle
	Requests    int `json:"requests,omitempty"`    // at once, over all connections
	Streams     int `json:"streams,omitempty"`     // at once, on one HTTP/2 connection
	HeaderBytes int `json:"header_bytes,omitempty"`
	// IdleSeconds bound a connection between requests, TotalSeconds one request or tunnel.
	IdleSeconds  int64 `json:"idle_seconds,omitempty"`
	TotalSeconds int64 `json:"total_seconds,omitempty"`
	// TotalSent and TotalReceived are bytes, of the whole run.
	TotalSent     int64 `json:"total_sent,omitempty"`
	TotalReceived int64 `json:"total_received,omitempty"`
}

// Limit is one that is set, by its name in a manifest, and its value in words.
type Limit struct{ Name, Value string }

// List is every limit that is set.
func (l Limits) List() []Limit {
	var out []Limit
	add := func(name string, n int64, unit string) {
		if n != 0 {
			out = append(out, Limit{name, strconv.FormatInt(n, 10) + unit})
		}
	}
	add("connections", int64(l.Connections), "")
	add("requests", int64(l.Requests), "")
	add("streams", int64(l.Streams), "")
	add("header_bytes", int64(l.HeaderBytes), " bytes")
	add("idle", l.IdleSeconds, " s")
	add("total", l.TotalSeconds, " s")
	add("total_sent", l.TotalSent, " bytes")
	add("total_received", l.TotalReceived, " bytes")
	return out
}

// Over is l with every limit that top sets.
func (l Limits) Over(top Limits) Limits {
	take := func(to *int, from int) {
		if from != 0 {
			*to = from
		}
	}
	long := func(to *int64, from int64) {
		if from != 0 {
			*to = from
		}
	}
	take(&l.Connections, top.Connections)
	take(&l.Requests, top.Requests)
	take(&l.Streams, top.Streams)
	take(&l.HeaderBytes, top.HeaderBytes)
	long(&l.IdleSeconds, top.IdleSeconds)
	long(&l.TotalSeconds, top.TotalSeconds)
	long(&l.TotalSent, top.TotalSent)
	long(&l.TotalReceived, top.TotalReceived)
	return l
}

func (l Limits) check() error {
	if min(int64(l.Connections), int64(l.Requests), int64(l.Streams), int64(l.HeaderBytes), l.IdleSeconds, l.TotalSeconds, l.TotalSent, l.TotalReceived) < 0 {
		return errors.New("cannot use limits: one is negative")
	}
	return nil
}
