package manifest

import "strings"

// didYouMean returns `did you mean "x"?` for the candidate nearest to what was written, or "".
func didYouMean(written string, candidates []string) string {
	if best := nearest(written, candidates); best != "" {
		return `did you mean "` + best + `"?`
	}
	return ""
}

// nearest returns the candidate that differs from what was written by the fewest edits, where that
// is few enough to be a slip; the first one of equals; or "".
func nearest(written string, candidates []string) string {
	const longest = 64
	if len(written) > longest {
		return ""
	}
	written = strings.ToLower(written)
	best, least := "", min(3, len(written)/3+1)+1
	for _, c := range candidates {
		if len(c) > longest {
			continue
		}
		if d := edits(written, strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// edits is the optimal string alignment distance in bytes: insertions, deletions, substitutions
// and swaps of neighbours cost one each.
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// listed says which names there are, for a hint.
func listed(what string, names []string) string {
	if len(names) == 0 {
		return "there are no " + what
	}
	return "there are the " + what + " " + strings.Join(names, ", ")
}

// nearOrListed is didYouMean, or the list of what there is.
func nearOrListed(written, what string, names []string) string {
	if hint := didYouMean(written, names); hint != "" {
		return hint
	}
	return listed(what, names)
}
