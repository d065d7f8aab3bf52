package manifest

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxSize is the most bytes that a manifest may have.
const MaxSize = 64 << 10

// split parts a Markdown file into its frontmatter and its body, both with \n line ends. The
// frontmatter's first line is line 2 of the file. ok is false where the file is not of that form.
func split(r *report, content []byte, example string) (front, body string, ok bool) {
	top := &node{line: 1, column: 1}
	switch {
	case len(content) > MaxSize:
		r.fail(top, fmt.Sprintf("is larger than %d KB", MaxSize>>10), "")
		return "", "", false
	case !utf8.Valid(content):
		r.fail(top, "is not UTF-8 text", "")
		return "", "", false
	case bytes.ContainsRune(content, 0):
		r.fail(top, "holds a NUL byte", "")
		return "", "", false
	}
	text := strings.TrimPrefix(string(content), "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	first, rest, _ := strings.Cut(text, "\n")
	if !isFence(first) {
		r.fail(top, "has no frontmatter", "begin the file with "+example)
		return "", "", false
	}
	var yaml strings.Builder
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if isFence(line) {
			return yaml.String(), rest, true
		}
		yaml.WriteString(line + "\n")
	}
	r.fail(top, "has a frontmatter without an end", "close it with a line ---")
	return "", "", false
}

func isFence(line string) bool { return strings.TrimRight(line, " \t") == "---" }
