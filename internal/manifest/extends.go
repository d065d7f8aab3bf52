package manifest

import (
	"slices"
	"strings"
)

// link returns a bottle with its parents folded below it. Where extends is wrong, the problem is
// noted with the file and the parents are left out, so that folding always ends.
func (l *Library) link(name string) *layer {
	f := l.bottle(name)
	if f.merged != nil {
		return f.merged
	}
	f.merged = f.layer
	l.checkExtends(f)
	if len(f.links) > 0 || len(f.layer.extends) == 0 {
		return f.merged
	}
	var base *layer
	for _, parent := range f.layer.extends {
		if _, known := l.found.bottles[parent.text]; !known {
			continue
		}
		next := l.link(parent.text)
		if base == nil {
			base = next
			continue
		}
		base = beside(base, next)
	}
	if base == nil {
		return f.merged
	}
	merged := onTop(base, f.layer)
	for _, c := range merged.clashes {
		at := f.layer.extends[len(f.layer.extends)-1]
		p := c.problem()
		p.File, p.Line, p.Column, p.Field = f.report.file, at.line, at.column, at.field
		f.links = append(f.links, p)
	}
	merged.clashes = nil
	f.merged = merged
	return f.merged
}

func (l *Library) checkExtends(f *bottleFile) {
	name := f.layer.name
	seen := map[string]bool{}
	for _, parent := range f.layer.extends {
		message, hint := "", ""
		_, exists := l.found.bottles[parent.text]
		switch {
		case parent.kind != textNode || parent.text == "":
			continue // the shape has said so
		case parent.text == name:
			message = "the bottle extends itself"
		case seen[parent.text]:
			message = shown(parent.text) + " is listed twice"
		case !exists:
			message = "there is no bottle " + shown(parent.text)
			hint = l.whichBottles(parent.text)
		default:
			if chain := l.wayBack(parent.text, name, map[string]bool{}); chain != nil {
				message = "is a cycle: " + strings.Join(append([]string{name}, chain...), " → ")
			}
		}
		seen[parent.text] = true
		if message != "" {
			f.links = append(f.links, Problem{File: f.report.file, Line: parent.line, Column: parent.column,
				Field: parent.field, Message: message, Hint: hint})
		}
	}
}

// wayBack returns the shortest-found chain of parents from one bottle to another, both included.
func (l *Library) wayBack(from, to string, been map[string]bool) []string {
	if from == to {
		return []string{to}
	}
	if _, exists := l.found.bottles[from]; !exists || been[from] {
		return nil
	}
	been[from] = true
	for _, parent := range l.bottle(from).layer.extends {
		if chain := l.wayBack(parent.text, to, been); chain != nil {
			return append([]string{from}, chain...)
		}
	}
	return nil
}

// chainProblems gathers what is wrong with a bottle and everything that it extends. seen spares
// a file that was visited before.
func (l *Library) chainProblems(name string, seen map[string]bool) []Problem {
	if _, exists := l.found.bottles[name]; !exists || seen[name] {
		return nil
	}
	seen[name] = true
	l.link(name)
	f := l.bottles[name]
	problems := slices.Concat(f.report.problems, f.links)
	for _, parent := range f.layer.extends {
		problems = append(problems, l.chainProblems(parent.text, seen)...)
	}
	return problems
}

// clash is a host for which two parents have different routes. Neither may win: the one dropped
// could be the stricter.
type clash struct{ host, first, second string }

func (c clash) problem() Problem {
	return Problem{Message: "the bottles " + c.first + " and " + c.second + " have different routes for " + c.host,
		Hint: "keep one, or declare egress in a bottle that extends both"}
}

func (l *Library) whichBottles(written string) string {
	names := l.Names(KindBottle)
	hint := listed("bottles", names)
	if near := didYouMean(written, names); near != "" {
		hint = near + " " + hint
	}
	return hint
}
