package layers

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// source is one parsed Go file.
type source struct {
	path  string // slash-separated, below the root
	file  *ast.File
	lines int
	test  bool
}

// tree is all sources below a root, by package directory.
type tree struct {
	files    *token.FileSet
	packages map[string][]source
}

// skipped directories hold no sources of this module.
func skipped(name string) bool {
	return name != "." && (strings.HasPrefix(name, ".") || slices.Contains([]string{"bin", "dist", "node_modules", "testdata", "tools", "vendor"}, name))
}

func load(root fs.FS) (*tree, error) {
	t := &tree{files: token.NewFileSet(), packages: make(map[string][]source)}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(t.files, name, text, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("cannot parse %s: %w", name, err)
		}
		directory := path.Dir(name)
		t.packages[directory] = append(t.packages[directory], source{
			path: name, file: file, lines: t.files.File(file.Pos()).LineCount(), test: strings.HasSuffix(name, "_test.go"),
		})
		return nil
	})
	return t, err
}

// shipped returns the packages that have more than tests, sorted.
func (t *tree) shipped() []string {
	var names []string
	for name, sources := range t.packages {
		if slices.ContainsFunc(sources, func(s source) bool { return !s.test }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// imports returns what the package imports outside its tests; our own packages by their path
// below the module.
func (t *tree) imports(pkg string) []string {
	var found []string
	for _, s := range t.packages[pkg] {
		if s.test {
			continue
		}
		for _, spec := range s.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser has checked it
			}
			found = append(found, strings.TrimPrefix(name, module))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// reach returns all packages of ours that pkg imports, directly or not, each with the chain to it.
func (t *tree) reach(pkg string) map[string]string {
	chains := map[string]string{}
	var visit func(at, chain string)
	visit = func(at, chain string) {
		for _, name := range t.imports(at) {
			if _, seen := chains[name]; seen {
				continue
			}
			chains[name] = chain + " → " + name
			if _, ours := t.packages[name]; ours {
				visit(name, chains[name])
			}
		}
	}
	visit(pkg, pkg)
	return chains
}
