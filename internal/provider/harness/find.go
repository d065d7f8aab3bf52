// Package harness finds a provider's program on the host, or fetches it from npm, and says how a
// bottle gets to see it.
//
// Its one rule: a bottle sees the program under neutral names below /bottle; the paths and the
// user names of the host stay outside.
package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// Where programs of the host appear in a bottle.
const (
	BinDir     = "/bottle/bin"
	ModulesDir = "/bottle/node_modules"
)

// Program is a found program: where it is on the host, what a bottle must mount, and the words
// that start it there.
type Program struct {
	HostPath string
	Args     []string
	Mounts   []plan.Mount
}

// ErrMissing says that the program is neither in PATH nor in the cache.
var ErrMissing = errors.New("not installed")

// Find looks in the directories of path (the form of PATH), then in the cache. Its error is
// ErrMissing where there is no such program.
func Find(b provider.Binary, path, cache string) (Program, error) {
	if b.Dir != "" {
		found := lookup(b.Command, b.Dir)
		if found == "" {
			return Program{}, ErrMissing
		}
		return locate(b.Command, found, path)
	}
	found := lookup(b.Command, path)
	if found == "" && b.NPM != "" {
		found = lookup(b.Command, cached(cache, b))
	}
	if found == "" {
		return Program{}, ErrMissing
	}
	return locate(b.Command, found, path)
}

// locate resolves links and decides what must be mounted: one file where the program is a
// binary, the tree of modules where it is a script of node.
func locate(command, found, path string) (Program, error) {
	real, err := filepath.EvalSymlinks(found)
	if err != nil {
		return Program{}, fault.New(fault.Invalid, "cannot follow %s: %w", found, err)
	}
	interpreter, err := shebang(real)
	if err != nil {
		return Program{}, fault.New(fault.Invalid, "cannot read %s: %w", real, err)
	}
	p := Program{HostPath: real}
	modules, rel, isModule := outermostModules(real)
	if interpreter == "" || !isModule {
		inside := filepath.Join(BinDir, command)
		p.Args, p.Mounts = []string{inside}, []plan.Mount{{HostPath: real, Path: inside}}
		if interpreter == "node" {
			return p.withNode(path)
		}
		return p, nil
	}
	p.Args = []string{filepath.Join(ModulesDir, rel)}
	p.Mounts = []plan.Mount{{HostPath: modules, Path: ModulesDir}}
	if interpreter == "node" {
		return p.withNode(path)
	}
	return p, nil
}

func (p Program) withNode(path string) (Program, error) {
	node := lookup("node", path)
	if node == "" {
		return Program{}, fault.WithHint(fault.New(fault.NotFound, "cannot run %s: it needs node, which is not in PATH", p.HostPath),
			"install node (Debian: apt install nodejs)")
	}
	real, err := filepath.EvalSymlinks(node)
	if err != nil {
		return Program{}, fault.New(fault.Invalid, "cannot follow %s: %w", node, err)
	}
	inside := filepath.Join(BinDir, "node")
	p.Args = append([]string{inside}, p.Args...)
	p.Mounts = append(p.Mounts, plan.Mount{HostPath: real, Path: inside})
	return p, nil
}

// lookup finds an executable file by name in a PATH-like list; relative directories do not count.
func lookup(command, path string) string {
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		candidate := filepath.Join(dir, command)
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate
		}
	}
	return ""
}

// shebang returns the base name of a script's interpreter, "" for anything else.
func shebang(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	line, err := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	rest, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return "", nil
	}
	words := strings.Fields(rest)
	if len(words) == 0 {
		return "", fmt.Errorf("it has an empty interpreter line")
	}
	name := filepath.Base(words[0])
	for _, w := range words[1:] {
		if name == "env" && !strings.HasPrefix(w, "-") {
			name = filepath.Base(w)
			break
		}
	}
	return name, nil
}

// outermostModules splits a path at its first node_modules.
func outermostModules(file string) (dir, rel string, ok bool) {
	const mark = "/node_modules/"
	i := strings.Index(file, mark)
	if i < 0 {
		return "", "", false
	}
	end := i + len(mark)
	return file[:end-1], file[end:], true
}
