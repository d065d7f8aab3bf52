package bench

import (
	"fmt"
	"strings"
	"time"
)

// report is Markdown that also reads well on a terminal.
type report struct{ text strings.Builder }

func (r *report) String() string { return r.text.String() }

func (r *report) note(format string, args ...any) {
	fmt.Fprintf(&r.text, "\n"+format+"\n", args...)
}

// table writes a heading and aligned rows; the first row is the head.
func (r *report) table(title string, rows [][]string) {
	fmt.Fprintf(&r.text, "\n**%s**\n\n", title)
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, row := range rows {
		r.row(row, widths)
		if n == 0 {
			rule := make([]string, len(row))
			for i := range rule {
				rule[i] = strings.Repeat("-", widths[i])
			}
			r.row(rule, widths)
		}
	}
}

func (r *report) row(cells []string, widths []int) {
	for i, cell := range cells {
		fmt.Fprintf(&r.text, "| %s%s ", cell, strings.Repeat(" ", widths[i]-len([]rune(cell))))
	}
	r.text.WriteString("|\n")
}

// held says whether a budget was met.
func held(ok bool) string {
	if ok {
		return "met"
	}
	return "**missed**"
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func us(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d.Nanoseconds())/1000) }

// times is a ratio of two durations, such as "12.3 ×".
func times(a, b float64) string {
	if b <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f ×", a/b)
}
