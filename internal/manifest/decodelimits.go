package manifest

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

const (
	durationPattern = `^([0-9]{1,6}(h|m|s))+$`
	sizePattern     = `^[0-9]{1,15}( ?[KMGT]i?B)?$`
)

func limitsShape() shape {
	count := func(doc string, least, most int64) shape {
		return shape{kind: integer, doc: doc, min: least, max: most}
	}
	duration := func(doc string) shape {
		return shape{kind: text, doc: doc, pattern: durationPattern, want: "a duration, such as 90s or 1h30m"}
	}
	size := func(doc string) shape {
		return shape{kind: text, numbers: true, doc: doc, pattern: sizePattern, want: "a number of bytes, such as 65536, 100MB or 1GiB"}
	}
	return shape{kind: object, empty: true, doc: "What one bottle may use of its sidecar, and carry. What meets a limit is refused and recorded.", keys: []key{
		{name: "connections", is: count("Connections at once. Default 1024.", 1, 65536)},
		{name: "requests", is: count("Requests at once, over all connections. Default 4096.", 1, 1<<20)},
		{name: "streams", is: count("Streams at once of one HTTP/2 connection. Default 250.", 1, 10000)},
		{name: "header_bytes", is: size("Of one head, both ways. From 4KiB to 1MiB. Default 64KiB.")},
		{name: "idle", is: duration("Of a connection between requests. Default 5m.")},
		{name: "total", is: duration("Of one request or tunnel, from its beginning to its end. Default 24h.")},
		{name: "total_sent", is: size("To all upstreams together, in one run. Default no bound.")},
		{name: "total_received", is: size("From all upstreams together, in one run. Default no bound.")},
	}}
}

func decodeLimits(r *report, n *node) policy.Limits {
	l := policy.Limits{
		IdleSeconds: decodeDuration(r, n, "idle"), TotalSeconds: decodeDuration(r, n, "total"),
		TotalSent: decodeSize(r, n, "total_sent"), TotalReceived: decodeSize(r, n, "total_received"),
	}
	for name, to := range map[string]*int{"connections": &l.Connections, "requests": &l.Requests, "streams": &l.Streams} {
		if v := n.get(name); v != nil && v.kind == integerNode {
			*to = int(v.whole)
		}
	}
	head := decodeSize(r, n, "header_bytes")
	if at := n.get("header_bytes"); at != nil && head != 0 && (head < 4<<10 || head > 1<<20) {
		r.fail(at, "is not from 4KiB to 1MiB", "")
	}
	l.HeaderBytes = int(head)
	return l
}

func decodeDuration(r *report, n *node, key string) int64 {
	text, at := n.str(key)
	if at == nil {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		r.fail(at, "is not a duration of a second or more", "")
		return 0
	}
	return int64(d / time.Second)
}

func decodeSize(r *report, n *node, key string) int64 {
	written, at := n.str(key)
	if at == nil {
		return 0
	}
	digits := strings.TrimRight(written, " KMGTiB")
	unit := strings.TrimSpace(strings.TrimPrefix(written, digits))
	size, err := strconv.ParseInt(digits, 10, 64)
	factor := int64(1)
	if unit != "" {
		base := int64(1000)
		if strings.Contains(unit, "i") {
			base = 1024
		}
		for range strings.IndexByte("KMGT", unit[0]) + 1 {
			factor *= base
		}
	}
	if err != nil || size < 1 || size > math.MaxInt64/factor {
		r.fail(at, "is not a number of bytes that can be", "")
		return 0
	}
	return size * factor
}
