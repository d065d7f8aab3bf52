package layers

import (
	"fmt"
	"go/ast"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Limits of shape.
const (
	maxLines     = 500 // of a file outside tests
	maxMainLines = 25  // of cmd/*/main.go
)

// Check returns what breaks the house rules in the sources below root, each finding as
// "place: what is wrong", sorted.
func Check(root fs.FS) ([]string, error) {
	t, err := load(root)
	if err != nil {
		return nil, err
	}
	var findings []string
	for _, pkg := range t.shipped() {
		findings = append(findings, t.directions(pkg)...)
		findings = append(findings, t.shape(pkg)...)
	}
	for _, pkg := range slices.Sorted(maps.Keys(t.packages)) {
		findings = append(findings, t.state(pkg)...)
	}
	slices.Sort(findings)
	return findings, nil
}

// directions holds the table and its fences.
func (t *tree) directions(pkg string) []string {
	heights := table()
	own, known := heights[pkg]
	if !known {
		return []string{fmt.Sprintf("%s: not in the table of layers; add it where it belongs", pkg)}
	}
	var findings []string
	for _, name := range t.imports(pkg) {
		if height, ours := heights[name]; ours && height >= own {
			findings = append(findings, fmt.Sprintf("%s: imports %s, which is not below it", pkg, name))
		}
		if slices.Contains(drivenOnlyByCLI(), name) && !covers("internal/cli/...", pkg) && !covers(name+"/...", pkg) {
			findings = append(findings, fmt.Sprintf("%s: imports %s; only cli may, and hands it down", pkg, name))
		}
	}
	for _, f := range fences() {
		if slices.ContainsFunc(f.of, func(pattern string) bool { return covers(pattern, pkg) }) {
			findings = append(findings, t.fenced(pkg, f)...)
		}
	}
	return findings
}

func (t *tree) fenced(pkg string, f fence) []string {
	reached := map[string]string{}
	if f.deep {
		reached = t.reach(pkg)
	} else {
		for _, name := range t.imports(pkg) {
			reached[name] = pkg + " → " + name
		}
	}
	var findings []string
	for name, chain := range reached {
		if slices.ContainsFunc(f.forbids, func(pattern string) bool { return covers(pattern, name) }) {
			findings = append(findings, fmt.Sprintf("%s: %s (%s)", pkg, f.why, chain))
		}
	}
	return findings
}

// covers reports whether a pattern names a package; "x/..." covers x and all below it.
func covers(pattern, pkg string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == prefix || strings.HasPrefix(pkg, prefix+"/")
	}
	return pattern == pkg
}

// shape holds what every package looks like.
func (t *tree) shape(pkg string) []string {
	var findings []string
	name := path.Base(pkg)
	if slices.Contains([]string{"util", "utils", "common", "core", "types", "helpers", "misc", "shared"}, name) {
		findings = append(findings, fmt.Sprintf("%s: the name says nothing", pkg))
	}
	comments := 0
	for _, s := range t.packages[pkg] {
		if s.test {
			continue
		}
		if s.file.Doc != nil && !directive(s.file.Doc) {
			comments++
			if !opens(s.file) {
				findings = append(findings, fmt.Sprintf("%s: the package comment begins neither \"Package %s\" nor \"Command\"", s.path, s.file.Name.Name))
			}
		}
		if s.lines > maxLines {
			findings = append(findings, fmt.Sprintf("%s: %d lines; past %d a file wants splitting along an idea", s.path, s.lines, maxLines))
		}
		if strings.HasPrefix(s.path, "cmd/") && path.Base(s.path) == "main.go" && s.lines > maxMainLines {
			findings = append(findings, fmt.Sprintf("%s: %d lines; main has at most %d", s.path, s.lines, maxMainLines))
		}
		findings = append(findings, t.calls(s)...)
	}
	if comments != 1 {
		findings = append(findings, fmt.Sprintf("%s: %d package comments; want one", pkg, comments))
	}
	return findings
}

func directive(doc *ast.CommentGroup) bool { return strings.TrimSpace(doc.Text()) == "" }

func opens(file *ast.File) bool {
	text := file.Doc.Text()
	if file.Name.Name == "main" {
		return strings.HasPrefix(text, "Command ")
	}
	return strings.HasPrefix(text, "Package "+file.Name.Name+" ")
}

// calls finds init functions and exits.
func (t *tree) calls(s source) []string {
	var findings []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				findings = append(findings, fmt.Sprintf("%s: init function", t.files.Position(n.Pos())))
			}
		case *ast.SelectorExpr:
			from, ok := n.X.(*ast.Ident)
			exits := ok && (from.Name == "os" && n.Sel.Name == "Exit" || from.Name == "log" && strings.HasPrefix(n.Sel.Name, "Fatal"))
			if exits && !strings.HasPrefix(s.path, "cmd/") && !strings.HasPrefix(s.path, "examples/") {
				findings = append(findings, fmt.Sprintf("%s: %s.%s outside cmd", t.files.Position(n.Pos()), from.Name, n.Sel.Name))
			}
		}
		return true
	})
	return findings
}
