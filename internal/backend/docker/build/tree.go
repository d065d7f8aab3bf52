package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// tree is what of a directory goes to the engine. Links are never followed, and nothing special
// travels.
type tree struct {
	root    *os.Root
	without *patternmatcher.PatternMatcher // nil for nothing
	only    []string                       // paths at, below and above which all is; nil for everything
}

// visit is called for each entry, a directory before what is in it, in the order of their names.
type visit func(name string, info fs.FileInfo, link string) error

// exclude takes out what the lines of a .dockerignore name.
func (t *tree) exclude(patterns []string) error {
	if len(patterns) == 0 {
		return nil
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		return fmt.Errorf("cannot read .dockerignore: %w", err)
	}
	t.without = m
	return nil
}

// ignored reads the first of the files that there is.
func ignored(root *os.Root, names ...string) ([]string, error) {
	for _, name := range names {
		f, err := openText(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		patterns, err := ignorefile.ReadAll(f)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		return patterns, nil
	}
	return nil, nil
}

// openText opens a file to be read here. A pipe would keep the reader waiting for ever.
func openText(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, f.Close(), errors.New("it is no regular file"))
	}
	return f, nil
}

// follow limits the tree to what copying from these paths needs; where a link is on the way, or a
// pattern is at its very beginning, that is everything.
func (t *tree) follow(paths []string) {
	var only []string
	for _, asked := range paths {
		name := strings.TrimPrefix(path.Clean("/"+asked), "/")
		if at := strings.IndexAny(name, `*?[\`); at >= 0 {
			name = path.Dir(name[:at] + "x")
		}
		if name == "" || name == "." || t.linked(name) {
			return
		}
		only = append(only, name)
	}
	t.only = only
}

// linked tells whether a path leads over a link.
func (t *tree) linked(name string) bool {
	for at := name; at != "."; at = path.Dir(at) {
		if info, err := t.root.Lstat(at); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}

// wanted tells whether an entry goes along, and for one that does not, whether there may be
// something in it that does.
func (t *tree) wanted(name string, dir bool, above patternmatcher.MatchInfo) (wanted, within bool, here patternmatcher.MatchInfo, err error) {
	wanted = t.only == nil
	for _, only := range t.only {
		wanted = wanted || name == only || strings.HasPrefix(name, only+"/") || dir && strings.HasPrefix(only, name+"/")
	}
	if !wanted || t.without == nil {
		return wanted, wanted, here, nil
	}
	out, here, err := t.without.MatchesUsingParentResults(name, above)
	if err != nil {
		return false, false, here, fmt.Errorf("cannot read .dockerignore: %w", err)
	}
	return !out, !out || dir && t.excepted(name), here, nil
}

// excepted tells whether an exception (a line that begins with "!") may name something in a
// directory; one that is a pattern may name something anywhere.
func (t *tree) excepted(dir string) bool {
	return slices.ContainsFunc(t.without.Patterns(), func(p *patternmatcher.Pattern) bool {
		text := p.String()
		return p.Exclusion() && (strings.ContainsAny(text, `*?[\`) || strings.HasPrefix(text, dir+"/"))
	})
}

// walk visits what goes along.
func (t *tree) walk(ctx context.Context, to visit) error {
	return t.directory(ctx, ".", patternmatcher.MatchInfo{}, nil, to)
}

// directory visits what is in one. The pending are the directories around it that are left out
// themselves; they go along with the first thing in them that does.
func (t *tree) directory(ctx context.Context, dir string, above patternmatcher.MatchInfo, pending *held, to visit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := t.list(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		wanted, within, here, err := t.wanted(name, e.IsDir(), above)
		if err != nil {
			return err
		}
		if !wanted && !within {
			continue
		}
		info, link, err := t.look(name)
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModeType&^(fs.ModeDir|fs.ModeSymlink)) != 0 { // a device, a socket, a pipe
			continue
		}
		on := pending
		if wanted {
			if err := errors.Join(pending.release(to), to(name, info, link)); err != nil {
				return err
			}
		} else {
			on = &held{name: name, info: info, around: pending}
		}
		if info.IsDir() {
			if err := t.directory(ctx, name, here, on, to); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tree) list(dir string) ([]fs.DirEntry, error) {
	d, err := t.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, err
}

func (t *tree) look(name string) (info fs.FileInfo, link string, err error) {
	if info, err = t.root.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		link, err = t.root.Readlink(name)
	}
	return info, link, err
}

// open opens a file, and nothing else that may have taken its place, such as a link to one that is
// left out: a root follows those that stay inside.
func (t *tree) open(name string) (*os.File, error) {
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	named, lerr := t.root.Lstat(name)
	if err = errors.Join(err, lerr); err == nil && (!info.Mode().IsRegular() || !os.SameFile(info, named)) {
		err = fmt.Errorf("%s is no file any more", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// held is a directory that was not visited yet.
type held struct {
	name   string
	info   fs.FileInfo
	around *held
	gone   bool
}

func (h *held) release(to visit) error {
	if h == nil || h.gone {
		return nil
	}
	h.gone = true
	return errors.Join(h.around.release(to), to(h.name, h.info, ""))
}
