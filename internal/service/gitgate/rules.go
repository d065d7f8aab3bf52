//go:build linux

package gitgate

import (
	"fmt"
	"path"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// The defaults of what a push may be.
const (
	defaultPackBytes = 256 << 20
	unpackedRatio    = 16       // what a pack may unpack to, times its limit
	maxBlob          = 1 << 30  // one file
	indexMemory      = 2 << 30  // of the program that reads a pack
	indexSeconds     = 10 * 60  // of its processor time
	serveMemory      = 4 << 30  // of the programs that answer a fetch, each
	serveSeconds     = 15 * 60  // of their processor time
	maxObjects       = 2 << 20  // of one push
	maxMeta          = 16 << 20 // a commit, a tag, a tree
)

const zero = "0000000000000000000000000000000000000000"

// rules say which refs a push may change, and how.
type rules struct {
	patterns []string // full names, with *
	force    bool
	remove   bool
	pack     int64
}

// newRules adds the bottle's own branches to what is declared.
func newRules(id string, p plan.GitPush) (rules, error) {
	r := rules{patterns: []string{"refs/heads/bottle/" + id + "/*"}, force: p.Force, remove: p.Delete, pack: p.MaxBytes}
	if r.pack == 0 {
		r.pack = defaultPackBytes
	}
	for _, pattern := range p.Refs {
		full := pattern
		if !strings.HasPrefix(full, "refs/") {
			full = "refs/heads/" + full
		}
		if strings.HasPrefix(full, "refs/replace/") {
			return r, fmt.Errorf("cannot allow pushes to %s: refs/replace would change what others see", pattern)
		}
		if problem := oddRef(strings.ReplaceAll(full, "*", "x")); problem != "" {
			return r, fmt.Errorf("cannot allow pushes to %q: it %s", pattern, problem)
		}
		r.patterns = append(r.patterns, full)
	}
	return r, nil
}

// update is one command of a push: a ref and what it is to be moved from and to.
type update struct{ old, new, ref string }

func (u update) deletes() bool { return u.new == zero }
func (u update) creates() bool { return u.old == zero }

// refused says why an update may not be, or "". Whether it is a forced one is found out later.
func (r rules) refused(u update) string {
	if problem := oddRef(u.ref); problem != "" {
		return problem
	}
	allowed := false
	for _, pattern := range r.patterns {
		allowed = allowed || glob(pattern, u.ref)
	}
	switch {
	case strings.HasPrefix(u.ref, "refs/replace/"):
		return "would replace objects behind everybody's back; refs/replace is never pushed"
	case !allowed:
		return "is no ref that this bottle may push; it may push " + r.words()
	case u.deletes() && !r.remove:
		return "would be deleted, and deleting is not allowed here"
	}
	return ""
}

func (r rules) words() string {
	var short []string
	for _, p := range r.patterns {
		short = append(short, strings.TrimPrefix(p, "refs/heads/"))
	}
	return strings.Join(short, ", ")
}

// glob matches a name with a pattern in which * stands for any text, slashes too.
func glob(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	for i := len(first); i <= len(name); i++ {
		if glob(rest, name[i:]) {
			return true
		}
	}
	return false
}

// oddRef says what is wrong with a ref's name, or "". It is narrower than git-check-ref-format(1):
// what a terminal or a forge could show as another name is refused.
func oddRef(ref string) string {
	if len(ref) > 250 || path.Clean(ref) != ref || !strings.HasPrefix(ref, "refs/") || strings.Count(ref, "/") < 2 {
		return "is not a ref's full name"
	}
	for _, c := range []byte(ref) {
		if !strings.ContainsRune("/._-+@=,#%", rune(c)) && !isAlnum(c) {
			return "has a character in its name that the gate does not let through"
		}
	}
	for part := range strings.SplitSeq(ref, "/") {
		if strings.HasPrefix(part, ".") || strings.HasPrefix(part, "-") || strings.HasSuffix(part, ".lock") || strings.HasSuffix(part, ".") {
			return "has a part that git does not allow"
		}
	}
	if strings.Contains(ref, "..") || strings.Contains(ref, "@{") {
		return "has a part that git does not allow"
	}
	return ""
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isOID(s string) bool {
	if len(s) != len(zero) {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
