// Command mutants takes each guard of the egress out, one at a time, and says which test goes
// red. A guard that no test misses is an error. `make mutants` runs it from the root of the source.
//
// The rows that it prints are the table of docs/threat-model.md.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// guard is a place in the source that holds an attempt off, and what the source is without it.
type guard struct {
	name      string
	file      string
	old, bare string
	tests     []suite
}

// suite is a package and the tests of it that might notice.
type suite struct{ dir, run string }

func main() {
	only := flag.String("run", "", "only guards whose name matches this regular expression")
	part := flag.String("part", "1/1", "only this part of them, such as 2/5")
	flag.Parse()
	err := os.Chdir("../..") // it is a module of its own
	if err == nil {
		err = run(*only, *part)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		os.Exit(1)
	}
}

func run(only, part string) error {
	var n, of int
	if _, err := fmt.Sscanf(part, "%d/%d", &n, &of); err != nil || n < 1 || n > of {
		return fmt.Errorf("cannot read the part %q", part)
	}
	chosen, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var problems []error
	for i, g := range guards() {
		if i%of != n-1 || !chosen.MatchString(g.name) {
			continue
		}
		red, place, err := g.without(dir)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("cannot take out %q: %w", g.name, err))
			continue
		case len(red) == 0:
			problems = append(problems, fmt.Errorf("no test misses %q", g.name))
			continue
		}
		fmt.Printf("| %s | `%s` | %s |\n", g.name, place, strings.Join(red, ", "))
	}
	return errors.Join(problems...)
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// without runs the tests on the source that lacks the guard. red are those that failed.
func (g guard) without(dir string) (red []string, place string, err error) {
	raw, err := os.ReadFile(g.file)
	if err != nil {
		return nil, "", err
	}
	if n := strings.Count(string(raw), g.old); n != 1 {
		return nil, "", fmt.Errorf("%s has it %d times", g.file, n)
	}
	if place, err = enclosing(g.file, raw, bytes.Index(raw, []byte(g.old))); err != nil {
		return nil, "", err
	}
	source, err := filepath.Abs(g.file)
	if err != nil {
		return nil, "", err
	}
	mutant, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	//nolint:gosec // below a directory of its own
	if err := os.WriteFile(mutant, []byte(strings.Replace(string(raw), g.old, g.bare, 1)), 0o600); err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {source: mutant}})
	if err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return nil, "", err
	}
	for _, s := range g.tests {
		out, err := exec.Command("go", "test", "-vet=off", "-overlay", overlay, "-timeout", "120s", "-run", s.run, "./"+s.dir).CombinedOutput() //nolint:noctx // the table's own words; it has its own time
		if err == nil {
			continue
		}
		found := failed.FindAllStringSubmatch(string(out), -1)
		if len(found) == 0 && !strings.Contains(string(out), "test timed out") {
			return nil, "", fmt.Errorf("%s cannot be tested: %w\n%s", s.dir, err, out)
		}
		for _, f := range found {
			red = append(red, "`"+path.Base(s.dir)+"."+f[1]+"`")
		}
		if len(found) == 0 {
			red = append(red, "`"+path.Base(s.dir)+"` (never ends)")
		}
	}
	slices.Sort(red)
	return slices.Compact(red), place, nil
}

// enclosing names the function around an offset, with its package.
func enclosing(file string, source []byte, offset int) (string, error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	name := parsed.Name.Name
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || set.Position(f.Pos()).Offset > offset || set.Position(f.End()).Offset <= offset {
			continue
		}
		if f.Recv != nil {
			of := f.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			if id, ok := of.(*ast.Ident); ok {
				name += "." + id.Name
			}
		}
		return name + "." + f.Name.Name, nil
	}
	return name, nil
}
