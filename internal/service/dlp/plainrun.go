package dlp

import "bytes"

// What was unpacked can be one byte, a thousand times as much of it as was sent. Of such a run the window
// has this much: more than any rule looks at around a match.
const (
	plainRatio = 8 // how many times less it counts
	plainKept  = 2 << 10
	plainRun   = 8 << 10
)

// oneByte reports whether p is one byte, repeated.
func oneByte(p []byte) bool { return len(p) > 0 && bytes.Equal(p[1:], p[:len(p)-1]) }

// pixelsAt reports whether what is packed at i are the pixels of a PNG picture: its first chunk of them
// stands in front of them by its name (PNG, section 11.2.3).
func pixelsAt(p []byte, i int) bool { return i >= 4 && string(p[i-4:i]) == "IDAT" }

// period is after how many bytes p repeats, or 0 where it is more than eight.
func period(p []byte) int {
	for k := 1; k <= 8; k++ {
		if bytes.Equal(p[k:], p[:len(p)-k]) {
			return k
		}
	}
	return 0
}

// cut is what was left out of a text before an offset of what is left of it.
type cut struct{ at, n int }

// shortened returns p with less of its long runs of one byte, or of a few in turn.
func shortened(p []byte) (out []byte, cuts []cut) {
	const step = plainKept / 2
	from, gone := 0, 0
	for i := 0; i+plainRun <= len(p); {
		k := period(p[i : i+step])
		if k == 0 {
			i += step
			continue
		}
		end := i + step
		for end < len(p) && p[end] == p[end-k] {
			end++
		}
		if end-i >= plainRun {
			out = append(out, p[from:i+plainKept/2]...)
			from = end - plainKept/2
			gone += from - i - plainKept/2
			cuts = append(cuts, cut{len(out), gone})
		}
		i = end
	}
	if cuts == nil {
		return p, nil
	}
	return append(out, p[from:]...), cuts
}

// restored is where offsets in a shortened text are in the whole.
func restored(offsets []int, cuts []cut) []int {
	if len(cuts) == 0 {
		return offsets
	}
	out := make([]int, 0, len(offsets))
	for _, at := range offsets {
		gone := 0
		for _, c := range cuts {
			if at >= c.at {
				gone = c.n
			}
		}
		out = append(out, at+gone)
	}
	return out
}
