package manifest

import (
	"math"
	"strconv"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// leastMemory is what a bottle and its agent cannot do without.
const leastMemory = 64 << 20

func resourcesShape() shape {
	return shape{kind: object, empty: true, doc: "What one bottle may use of the machine. What cannot be held on a machine is refused at the start.", keys: []key{
		{name: "cpus", is: shape{kind: text, numbers: true, pattern: `^[0-9]{1,4}(\.[0-9]{1,2})?$`, want: "a number of processors, such as 2 or 0.5",
			doc: "Processors' worth of time, at most. Default no bound."}},
		{name: "memory", is: shape{kind: text, numbers: true, pattern: sizePattern, want: "a number of bytes, such as 512MiB or 4GB",
			doc: "At least 64MiB. Default three quarters of the machine's, where that can be held."}},
		{name: "processes", is: shape{kind: integer, min: 16, max: 1 << 20, doc: "Processes and threads at once. Default 4096."}},
	}}
}

func decodeResources(r *report, l *layer, n *node) {
	if n == nil {
		return
	}
	limits := plan.Limits{MemoryBytes: decodeSize(r, n, "memory")}
	if at := n.get("memory"); at != nil && limits.MemoryBytes != 0 && limits.MemoryBytes < leastMemory {
		r.fail(at, "is less than 64MiB", "")
	}
	if v := n.get("processes"); v != nil && v.kind == integerNode {
		limits.Processes = int(v.whole)
	}
	if written, at := n.str("cpus"); at != nil {
		number, err := strconv.ParseFloat(written, 64)
		limits.MilliCPUs = int64(math.Round(number * 1000))
		if err != nil || limits.MilliCPUs < 10 {
			r.fail(at, "is not a number of processors from 0.01 on", "")
		}
	}
	l.resources = &limits
	l.own("resources")
}
