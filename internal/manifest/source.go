package manifest

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Source says where a manifest lives.
type Source string

// The places of manifests. A name is looked for in this order.
const (
	FromHome       Source = "home"       // the operator's own
	FromBuiltin    Source = "built-in"   // part of this program
	FromRepository Source = "repository" // brought by the caller's directory: agents only
)

// Kind is what a file declares.
type Kind string

// The kinds of manifests.
const (
	KindBottle Kind = "bottle"
	KindAgent  Kind = "agent"
)

func (k Kind) folder() string { return string(k) + "s" }

//go:embed builtin/agents/*.md builtin/bottles/*.md
var builtins embed.FS

// repoFolder is where a repository keeps its agents' folder.
const repoFolder = ".bot-bottle"

const nameHint = "use a lower-case letter, then letters, digits and dashes, 48 at most, and .md"

// Entry is one manifest that exists, read or not.
type Entry struct {
	Name   string `json:"name"`
	Kind   Kind   `json:"kind"`
	Source Source `json:"source"`
	// File is the absolute path, or for a built-in a name for messages.
	File string `json:"file"`

	open func() (fs.File, error)
}

// scan is what the folders hold.
type scan struct {
	bottles, agents map[string]Entry
	problems        []Problem
	warnings        []Warning
}

// look lists all folders. Only a folder that exists and cannot be listed is an error.
func look(opts Options) (*scan, error) {
	s := &scan{bottles: map[string]Entry{}, agents: map[string]Entry{}}
	for _, kind := range []Kind{KindBottle, KindAgent} {
		if opts.Home != "" {
			if err := s.home(kind, filepath.Join(opts.Home, kind.folder())); err != nil {
				return nil, err
			}
		}
		if err := s.builtin(kind); err != nil {
			return nil, err
		}
	}
	if opts.Cwd == "" || sameFolder(filepath.Join(opts.Cwd, repoFolder), opts.Home) {
		return s, nil
	}
	s.repository(opts.Cwd)
	return s, nil
}

func (s *scan) of(kind Kind) map[string]Entry {
	if kind == KindBottle {
		return s.bottles
	}
	return s.agents
}

func (s *scan) home(kind Kind, folder string) error {
	found, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot list the %s: %w", kind.folder(), err)
	}
	for _, f := range found {
		file := filepath.Join(folder, f.Name())
		name, ok := s.stem(f, file)
		if ok {
			s.of(kind)[name] = Entry{Name: name, Kind: kind, Source: FromHome, File: file, open: func() (fs.File, error) {
				return os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			}}
		}
	}
	return nil
}

func (s *scan) builtin(kind Kind) error {
	folder := "builtin/" + kind.folder()
	found, err := builtins.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("cannot list the built-in %s: %w", kind.folder(), err)
	}
	for _, f := range found {
		name := strings.TrimSuffix(f.Name(), ".md")
		if _, replaced := s.of(kind)[name]; replaced {
			continue
		}
		s.of(kind)[name] = Entry{Name: name, Kind: kind, Source: FromBuiltin, File: "built-in " + string(kind) + " " + name,
			open: func() (fs.File, error) { return builtins.Open(folder + "/" + f.Name()) }}
	}
	return nil
}

// repository lists the agents of the caller's directory. Everything is opened beneath it, so
// that a link in a hostile repository cannot show the operator's files to an agent.
func (s *scan) repository(cwd string) {
	root, err := os.OpenRoot(cwd)
	if err != nil {
		s.warnings = append(s.warnings, Warning{File: cwd, Message: "is not searched for agents: " + cause(err)})
		return
	}
	defer root.Close()
	if _, err := root.Lstat(filepath.Join(repoFolder, KindBottle.folder())); err == nil {
		s.warnings = append(s.warnings, Warning{File: filepath.Join(cwd, repoFolder, KindBottle.folder()),
			Message: "is not read: a repository cannot bring bottles", Hint: "put bottles into the home of bot-bottle"})
	}
	folder := filepath.Join(repoFolder, KindAgent.folder())
	found, err := fs.ReadDir(root.FS(), folder)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.warnings = append(s.warnings, Warning{File: filepath.Join(cwd, folder), Message: "is not read: " + cause(err)})
		return
	}
	for _, f := range found {
		file := filepath.Join(cwd, folder, f.Name())
		name, ok := s.stem(f, file)
		if !ok {
			continue
		}
		if first, taken := s.agents[name]; taken {
			s.warnings = append(s.warnings, Warning{File: file, Message: "is not used: there is a " + string(first.Source) + " agent of this name",
				Hint: "rename the file to use it"})
			continue
		}
		s.agents[name] = Entry{Name: name, Kind: KindAgent, Source: FromRepository, File: file, open: func() (fs.File, error) {
			return openBeneath(cwd, filepath.Join(folder, f.Name()))
		}}
	}
}

// openBeneath opens a file below dir; a symbolic link that leads out of dir is an error.
func openBeneath(dir, name string) (fs.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// stem returns the name that a file of a folder declares. Files that are no Markdown are left
// alone, like an editor's backups.
func (s *scan) stem(f fs.DirEntry, file string) (name string, ok bool) {
	name, markdown := strings.CutSuffix(f.Name(), ".md")
	if !markdown || f.IsDir() || strings.HasPrefix(name, ".") {
		return "", false
	}
	if !instance.ValidName(name) {
		s.problems = append(s.problems, Problem{File: file, Message: "has a name that cannot be used",
			Hint: nameHint})
		return "", false
	}
	return name, true
}

// load reads a manifest, and reports a file that cannot be read.
func load(r *report, e Entry) (content []byte, ok bool) {
	content, err := e.read()
	if err != nil {
		r.problems = append(r.problems, Problem{File: e.File, Message: "cannot be read: " + cause(err)})
	}
	return content, err == nil
}

// read returns the content of a regular file, and of one that is too large a little more than
// MaxSize bytes. Opening never waits for a pipe's other end.
func (e Entry) read() ([]byte, error) {
	f, err := e.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}

// cause drops the path that os puts before what went wrong.
func cause(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

func sameFolder(a, b string) bool {
	if b == "" {
		return false
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
