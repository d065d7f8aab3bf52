package manifest

import (
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// inserted is a text with something added, and the lines that are new or changed.
type inserted struct {
	text  string
	lines []string
}

// insertion adds a route to the text of a bottle, or returns nil where its form does not allow
// that. What it returns is checked by its meaning, so that here only the usual forms are known.
func insertion(text string, route policy.Route) *inserted {
	var r report
	front, _, ok := split(&r, []byte(text), "")
	if !ok || strings.Contains(text, "\r") {
		return nil
	}
	root := parseYAML(&r, front, 1)
	if root == nil {
		return nil
	}
	t := &lines{all: strings.Split(text, "\n")}
	egress := root.get("egress")
	routes := egress.get("routes")
	switch {
	case egress == nil:
		return t.after(1+strings.Count(front, "\n"), append([]string{"egress:", "  routes:"}, indented(route.YAML(), 4)...))
	case routes == nil && egress.kind == mappingNode && t.opens(egress, '{'):
		return t.within(egress, "routes: ["+route.Flow()+"]", len(egress.entries) > 0)
	case routes == nil && egress.kind == mappingNode && len(egress.entries) > 0:
		first := egress.entries[0].at
		return t.after(first.line-1, append(indented("routes:", first.column-1), indented(route.YAML(), first.column+1)...))
	case routes == nil && egress.kind == nullNode && t.ends(egress.line, "egress:"):
		return t.after(egress.line, append([]string{"  routes:"}, indented(route.YAML(), 4)...))
	case routes == nil || routes.kind == mappingNode || routes.kind == textNode:
		return nil
	}
	for _, item := range routes.items {
		if host, _ := item.str("host"); strings.EqualFold(host, route.Host) {
			return t.widen(item, route)
		}
	}
	return t.entry(routes, route.Flow(), route.YAML())
}

// lines is a text by lines, of which the first has the number 1.
type lines struct{ all []string }

func indented(text string, by int) []string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.Repeat(" ", by)+strings.TrimSuffix(line, "\n"))
	}
	return out
}

func (t *lines) after(line int, added []string) *inserted {
	if line < 1 || line > len(t.all) {
		return nil
	}
	return &inserted{strings.Join(slices.Insert(slices.Clone(t.all), line, added...), "\n"), added}
}

// opens reports whether a node is written in flow style.
func (t *lines) opens(n *node, bracket byte) bool {
	line := t.line(n.line)
	return n.column >= 1 && n.column <= len(line) && line[n.column-1] == bracket
}

func (t *lines) line(number int) string {
	if number < 1 || number > len(t.all) {
		return ""
	}
	return t.all[number-1]
}

// ends reports whether a line holds a key without a value, at most with a comment.
func (t *lines) ends(number int, key string) bool {
	line, _, _ := strings.Cut(t.line(number), " #")
	return strings.TrimSpace(line) == key
}

// within adds text right after the bracket that opens a node in flow style.
func (t *lines) within(n *node, text string, more bool) *inserted {
	if more {
		text += ", "
	}
	line := t.line(n.line)
	changed := line[:n.column] + text + line[n.column:]
	all := slices.Clone(t.all)
	all[n.line-1] = changed
	return &inserted{strings.Join(all, "\n"), []string{changed}}
}

// entry adds an item as the first of a list: nothing has to be known about where the others end.
func (t *lines) entry(list *node, flow, block string) *inserted {
	if t.opens(list, '[') {
		return t.within(list, flow, len(list.items) > 0)
	}
	if list.kind != listNode || len(list.items) == 0 || !t.opens(list, '-') || strings.TrimLeft(t.line(list.line)[:list.column-1], " ") != "" {
		return nil
	}
	return t.after(t.above(list), indented(block, list.column-1))
}

// above is the line after which a new first item goes: the one before the comments that belong
// to the item which is first now.
func (t *lines) above(list *node) int {
	n := list.line - 1
	for n > 1 && strings.HasPrefix(strings.TrimSpace(t.line(n)), "#") {
		n--
	}
	return n
}

// widen adds a route's matches to the entry that its host has.
func (t *lines) widen(item *node, route policy.Route) *inserted {
	matches := item.get("matches")
	if matches == nil || matches.kind != listNode || len(matches.items) == 0 || len(route.Matches) != 1 {
		return nil
	}
	flow := route.Matches[0].Flow()
	return t.entry(matches, flow, "- "+flow)
}
