package layers

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const top = "../.."

func TestTheSourcesKeepTheRules(t *testing.T) {
	findings, err := Check(os.DirFS(top))
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range findings {
		t.Error(finding)
	}
}

func TestNoFileNamesThisCheckout(t *testing.T) {
	here, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(here, "/") < 2 {
		return // a path as short as /src stands in many texts
	}
	found, err := mentions(os.DirFS(top), here)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		t.Errorf("%s: names %s", name, here)
	}
}

// mentions returns the text files below root that contain needle, left out what git ignores.
func mentions(root fs.FS, needle string) ([]string, error) {
	var found []string
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{".git", "bin", "dist", "node_modules", "vendor"}, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if !bytes.ContainsRune(text, 0) && bytes.Contains(text, []byte(needle)) {
			found = append(found, name)
		}
		return nil
	})
	return found, err
}

func TestMentionsAreFound(t *testing.T) {
	root := fstest.MapFS{
		"docs/a.md":   {Data: []byte("see /some/where/file")},
		"bin/program": {Data: []byte("/some/where")},
		"picture":     {Data: []byte("\x00/some/where")},
	}
	found, err := mentions(root, "/some/where")
	if err != nil || !slices.Equal(found, []string{"docs/a.md"}) {
		t.Errorf("found %v, %v", found, err)
	}
}

// A broken rule has to be seen: each row is a package that breaks one.
func TestABrokenRuleIsFound(t *testing.T) {
	const policy = "internal/policy/a.go"
	long := "// Package policy decides.\npackage policy\n" + strings.Repeat("\n", maxLines)
	for _, row := range []struct {
		name  string
		files map[string]string
		want  string // "" means no finding
	}{
		{"a clean package", one(policy, "// Package policy decides.\npackage policy\nimport \"net/netip\"\nvar _ netip.Addr\n"), ""},
		{"an unknown package", one("internal/novel/a.go", "// Package novel is new.\npackage novel\n"), "add it where it belongs"},
		{"a name that says nothing", one("internal/util/a.go", "// Package util helps.\npackage util\n"), "says nothing"},
		{"an import upwards", one(policy, importing("policy", module+"internal/plan")), "imports internal/plan, which is not below it"},
		{"an import sideways", one("internal/service/dns/a.go", importing("dns", module+"internal/service/egress")), "imports internal/service/egress, which is not below it"},
		{"a driver outside cli", one("internal/bottle/a.go", importing("bottle", module+"internal/backend/native")), "only cli may"},
		{"a driver in cli", one("internal/cli/a.go", importing("cli", module+"internal/backend/native")), ""},
		{"policy with a clock", one(policy, importing("policy", "time")), "policy is pure"},
		{"policy with the network", one(policy, importing("policy", "net")), "policy is pure"},
		{"policy with files", one(policy, importing("policy", "os/exec")), "policy is pure"},
		{"a guest that knows a secret", one("internal/guest/a.go", importing("guest", module+"internal/secret")), "knows no secret"},
		{"a guest that knows a secret through another", map[string]string{
			"internal/guest/a.go":      importing("guest", module+"internal/guest/wire"),
			"internal/guest/wire/a.go": importing("wire", module+"internal/secret"),
		}, "internal/guest → internal/guest/wire → internal/secret"},
		{"a backend that knows the store", one("internal/backend/native/a.go", importing("native", module+"internal/store")), "gets a plan and nothing else"},
		{"a provider that touches a backend", one("internal/provider/claude/a.go", importing("claude", module+"internal/backend")), "never touches a backend"},
		{"no package comment", one(policy, "package policy\n"), "0 package comments"},
		{"two package comments", map[string]string{policy: "// Package policy decides.\npackage policy\n", "internal/policy/b.go": "// Package policy decides.\npackage policy\n"}, "2 package comments"},
		{"a directive is no comment", map[string]string{policy: "// Package policy decides.\npackage policy\n", "internal/policy/b.go": "//nolint:all\npackage policy\n"}, ""},
		{"a comment that begins otherwise", one(policy, "// Policies decide.\npackage policy\n"), "begins neither"},
		{"a command's comment", one("cmd/bot-bottle/main.go", "// Command bot-bottle runs.\npackage main\n"), ""},
		{"a long file", one(policy, long), "wants splitting"},
		{"a long test", map[string]string{policy: "// Package policy decides.\npackage policy\n", "internal/policy/a_test.go": long}, ""},
		{"a long main", one("cmd/bot-bottle/main.go", "// Command bot-bottle runs.\npackage main\n"+strings.Repeat("\n", maxMainLines)), "main has at most"},
		{"an init function", one(policy, "// Package policy decides.\npackage policy\nfunc init() {}\n"), "init function"},
		{"a method called init", one(policy, "// Package policy decides.\npackage policy\ntype x int\nfunc (x) init() {}\n"), ""},
		{"an exit", one("internal/cli/a.go", "// Package cli is.\npackage cli\nimport \"os\"\nfunc f() { os.Exit(1) }\n"), "os.Exit outside cmd"},
		{"an exit in cmd", one("cmd/bot-bottle/main.go", "// Command bot-bottle runs.\npackage main\nimport \"os\"\nfunc main() { os.Exit(1) }\n"), ""},
		{"a package variable that changes", one(policy, "// Package policy decides.\npackage policy\nvar n int\nfunc f() { n++ }\n"), "changes the package variable n"},
		{"one that another file changes", map[string]string{policy: "// Package policy decides.\npackage policy\nvar m = map[string]int{}\n", "internal/policy/b.go": "package policy\nfunc f() { m[\"a\"] = 1 }\n"}, "changes the package variable m"},
		{"a local variable of that name", one(policy, "// Package policy decides.\npackage policy\nvar n int\nfunc f() int { var n int; n++; return n }\n"), ""},
		{"a parameter of that name", one(policy, "// Package policy decides.\npackage policy\nvar n int\nfunc f(n int) int { n = 2; return n }\n"), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range row.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			findings, err := Check(root)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(findings, "\n")
			if row.want == "" && all != "" || !strings.Contains(all, row.want) {
				t.Errorf("found %q, want %q", all, row.want)
			}
		})
	}
}

func one(name, text string) map[string]string { return map[string]string{name: text} }

func importing(pkg, imported string) string {
	return "// Package " + pkg + " is.\npackage " + pkg + "\nimport _ \"" + imported + "\"\n"
}
