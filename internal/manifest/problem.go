package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one thing that is wrong in one file. Line and Column count from 1; both are 0 where
// the whole file is meant. Field is the path of the key, such as "egress.routes[0].host".
// No text of a Problem holds a value that may be a secret.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	// Hint says what to write instead; "" where there is nothing to add.
	Hint string `json:"hint,omitempty"`
}

// String is "file:line:column: field: what is wrong; hint", on one line and free of control bytes.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(printable(p.File))
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Warning is a Problem that does not stop the file from being used.
type Warning Problem

func (w Warning) String() string { return Problem(w).String() }

// Problems is everything that is wrong with what was asked for, as one error.
type Problems []Problem

// Error is the problem itself where there is one, else their number and one line for each.
func (ps Problems) Error() string {
	if len(ps) == 1 {
		return ps[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems", len(ps))
	for _, p := range ps {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// sortProblems orders by file, line and column, and keeps the order of finding within a place.
func sortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
}

// report gathers what one file says wrong.
type report struct {
	file     string
	problems []Problem
	warnings []Warning
	told     map[string]bool
	patterns map[string]*regexp.Regexp
	rules    func() []string // those of the scanner; nil: they are not checked
}

// matches compiles a pattern of ours when it is first needed in a file.
func (r *report) matches(pattern, s string) bool {
	re := r.patterns[pattern]
	if re == nil {
		if r.patterns == nil {
			r.patterns = map[string]*regexp.Regexp{}
		}
		re = regexp.MustCompile(pattern)
		r.patterns[pattern] = re
	}
	return re.MatchString(s)
}

func (r *report) fail(at *node, message, hint string) {
	r.problems = append(r.problems, Problem{File: r.file, Line: at.line, Column: at.column, Field: at.field, Message: message, Hint: hint})
}

func (r *report) warn(at *node, message, hint string) {
	r.warnings = append(r.warnings, Warning{File: r.file, Line: at.line, Column: at.column, Field: at.field, Message: message, Hint: hint})
}

// failed reports whether something was wrong at n or below it.
func (r *report) failed(n *node) bool {
	return slices.ContainsFunc(r.problems, func(p Problem) bool {
		rest, below := strings.CutPrefix(p.Field, n.field)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// warnOnce warns about an older spelling where it first stands in the file.
func (r *report) warnOnce(what string, at *node, message, hint string) {
	if r.told[what] {
		return
	}
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[what] = true
	r.warn(at, message, hint)
}

// shown quotes a value of a file for a person: escaped, in ASCII, and cut to a line's length.
func shown(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.QuoteToASCII(strings.ToValidUTF8(s[:most], "")) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// printable returns s as it is where that is safe on a terminal, else quoted.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}
