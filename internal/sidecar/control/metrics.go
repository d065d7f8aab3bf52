package control

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Measured is what one sidecar has done, with the bottle's name.
type Measured struct {
	ID    instance.ID `json:"identity"`
	Stats Stats       `json:"stats"`
}

// sample is one line of a metric: its labels, besides the bottle's, and its value.
type sample struct {
	labels string
	value  float64
}

type metric struct {
	name, kind, help string
	of               func(Stats) []sample
}

func one(value func(Stats) float64) func(Stats) []sample {
	return func(s Stats) []sample { return []sample{{value: value(s)}} }
}

func metrics() []metric {
	return []metric{
		{"bot_bottle_uptime_seconds", "gauge", "How long the sidecar runs.", one(func(s Stats) float64 { return s.UptimeSeconds })},
		{"bot_bottle_routes", "gauge", "Routes in force.", one(func(s Stats) float64 { return float64(s.Routes) })},
		{"bot_bottle_verdicts_total", "counter", "Verdicts, lookups of names included.", func(s Stats) []sample {
			return []sample{{`verdict="allow"`, float64(s.Allowed)}, {`verdict="deny"`, float64(s.Denied)}}
		}},
		{"bot_bottle_denied_total", "counter", "What was refused, by the layer that refused it.", func(s Stats) []sample {
			var all []sample
			for _, layer := range slices.Sorted(maps.Keys(s.DeniedBy)) {
				all = append(all, sample{fmt.Sprintf("layer=%q", layer), float64(s.DeniedBy[layer])})
			}
			return all
		}},
		{"bot_bottle_requests_total", "counter", "Requests and connections.", one(func(s Stats) float64 { return float64(s.Requests) })},
		{"bot_bottle_requests_refused_total", "counter", "Requests and connections that were refused.", one(func(s Stats) float64 { return float64(s.Refused) })},
		{"bot_bottle_alarms_total", "counter", "Alarms.", one(func(s Stats) float64 { return float64(s.Alarms) })},
		{"bot_bottle_body_bytes_total", "counter", "Bytes of bodies, to and from upstreams.", func(s Stats) []sample {
			return []sample{{`direction="sent"`, float64(s.SentBytes)}, {`direction="received"`, float64(s.ReceivedBytes)}}
		}},
		{"bot_bottle_questions_open", "gauge", "Questions that wait for the operator.", one(func(s Stats) float64 { return float64(s.Open) })},
		{"bot_bottle_resident_bytes", "gauge", "Memory of the sidecar.", one(func(s Stats) float64 { return float64(s.ResidentBytes) })},
	}
}

// MetricsType is the media type of what WriteMetrics writes.
const MetricsType = "text/plain; version=0.0.4; charset=utf-8"

// WriteMetrics writes the stats of some bottles in the text format of Prometheus.
func WriteMetrics(w io.Writer, bottles []Measured) error {
	var b strings.Builder
	for _, m := range metrics() {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
		for _, bottle := range bottles {
			for _, s := range m.of(bottle.Stats) {
				labels := fmt.Sprintf("bottle=%q", bottle.ID)
				if s.labels != "" {
					labels += "," + s.labels
				}
				fmt.Fprintf(&b, "%s{%s} %.15g\n", m.name, labels, s.value)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
