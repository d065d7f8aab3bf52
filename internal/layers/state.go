package layers

import (
	"fmt"
	"go/ast"
	"go/token"
)

// variables are what a package declares outside its functions.
type variables struct {
	names map[string]bool
	specs map[any]bool // the *ast.ValueSpec that declare them
}

func (t *tree) variables(pkg string) variables {
	found := variables{names: make(map[string]bool), specs: make(map[any]bool)}
	for _, s := range t.packages[pkg] {
		for _, declaration := range s.file.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if s.test || !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				if value, ok := spec.(*ast.ValueSpec); ok {
					found.specs[value] = true
					for _, name := range value.Names {
						found.names[name.Name] = name.Name != "_"
					}
				}
			}
		}
	}
	return found
}

// hold reports whether a name stands for one of the variables. The parser resolves a name to its
// declaration in the same file and leaves it unresolved where another file declares it.
func (v variables) hold(name *ast.Ident) bool {
	if name.Obj == nil {
		return v.names[name.Name]
	}
	return v.specs[name.Obj.Decl]
}

// state finds functions that change a variable of the package: its value, an element or a field.
func (t *tree) state(pkg string) []string {
	declared := t.variables(pkg)
	var findings []string
	for _, s := range t.packages[pkg] {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			for _, target := range targets(n) {
				if name := root(target); name != nil && declared.hold(name) {
					findings = append(findings, fmt.Sprintf("%s: changes the package variable %s", t.files.Position(n.Pos()), name.Name))
				}
			}
			return true
		})
	}
	return findings
}

func targets(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	}
	return nil
}

// root is the variable at the left end of x.f, x[i], *x; nil where there is none.
func root(target ast.Expr) *ast.Ident {
	switch e := target.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	}
	return nil
}
