package manifest

// ReadRoutes reads routes as a bottle's file writes them, without the file around them: one route,
// a list of them, or the key egress with its routes. name stands for the file in problems. All that
// is wrong is one error, of the type Problems.
func ReadRoutes(name string, content []byte) ([]Route, []Warning, error) {
	r := &report{file: name}
	root := parseYAML(r, string(content), 0)
	if root != nil {
		if root = egressOf(root); root.get("routes") == nil && len(r.problems) == 0 {
			r.fail(root, "holds no route", "write - host: NAME")
		}
	}
	var out []Route
	if root != nil {
		s := egressShape()
		s.check(r, root)
		for _, other := range root.entries {
			if other.key != "routes" {
				r.fail(other.at, "is no route", "only routes can change while a bottle runs")
			}
		}
		l := newLayer(name)
		decodeEgress(r, l, root)
		out = l.egress.Routes
	}
	if len(r.problems) > 0 {
		sortProblems(r.problems)
		return nil, r.warnings, Problems(r.problems)
	}
	return out, r.warnings, nil
}

// egressOf is the egress key of what was written in one of the short forms.
func egressOf(root *node) *node {
	wrap := func(list *node) *node {
		return &node{line: root.line, column: root.column, kind: mappingNode, entries: []entry{{key: "routes", at: root, value: list}}}
	}
	switch {
	case root.kind == listNode:
		return wrap(root)
	case root.get("host") != nil:
		return wrap(&node{line: root.line, column: root.column, kind: listNode, items: []*node{root}})
	case root.get("egress") != nil && len(root.entries) == 1:
		return root.get("egress")
	}
	return root
}
