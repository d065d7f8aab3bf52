package inbox_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bot-bottle/bot-bottle/internal/operator/inbox"
)

func TestDiff(t *testing.T) {
	for name, row := range map[string]struct{ before, after, want string }{
		"alike":               {"a\nb\n", "a\nb\n", ""},
		"a line that came":    {"a\nb\nc\nd\n", "a\nb\nx\nc\nd\n", "  a\n  b\n+ x\n  c\n  d"},
		"a line that went":    {"a\nb\nc\n", "a\nc\n", "  a\n- b\n  c"},
		"a file that is new":  {"", "a\nb\n", "+ a\n+ b"},
		"a changed line":      {"1\n2\n3\n4\n5\n6\n7\n", "1\n2\n3\nx\n5\n6\n7\n", "  2\n  3\n- 4\n+ x\n  5\n  6"},
		"the same line again": {"a\na\n", "a\na\na\n", "  a\n  a\n+ a"},
	} {
		if got := inbox.Diff(row.before, row.after); got != row.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, row.want)
		}
	}
}

// Whatever comes or goes is in the difference: what is approved is what is shown.
func TestDiffHidesNothing(t *testing.T) {
	lines := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", ""}))
	rapid.Check(t, func(t *rapid.T) {
		before, after := lines.Draw(t, "before"), lines.Draw(t, "after")
		text := func(lines []string) string {
			if len(lines) == 0 {
				return ""
			}
			return strings.Join(lines, "\n") + "\n"
		}
		count := map[string]int{}
		for _, l := range before {
			count[l]--
		}
		for _, l := range after {
			count[l]++
		}
		if diff := inbox.Diff(text(before), text(after)); diff != "" {
			for _, l := range strings.Split(diff, "\n") {
				switch l[:2] {
				case "+ ":
					count[l[2:]]--
				case "- ":
					count[l[2:]]++
				}
			}
		}
		for l, n := range count {
			if n != 0 {
				t.Errorf("%q: %d of it are not shown", l, n)
			}
		}
	})
}
