package bench

import (
	"slices"
	"time"
)

// sample is a set of measured times.
type sample []time.Duration

// at is the quantile q, 0 to 1, of a sorted copy; 0 of nothing.
func (s sample) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) p50() time.Duration { return s.at(0.5) }
func (s sample) p99() time.Duration { return s.at(0.99) }

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
