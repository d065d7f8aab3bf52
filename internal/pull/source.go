package pull

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Limits on what an agent can make the host read.
const (
	maxBranches   = 1000
	maxName       = 240
	maxSmall      = 64 << 10  // HEAD, a loose ref
	maxPackedRefs = 64 << 20  // the file packed-refs
	maxLoose      = 512 << 20 // an object, unpacked
	maxFile       = 100 << 20 // a file that is not committed
	maxTotal      = 8 << 30   // of all that is copied
)

// source is the agent's workspace. It is read through a root that no link leads out of.
type source struct {
	root   *os.Root
	copied int64
	notes  []string
}

func open(workspace string) (*source, error) {
	root, err := os.OpenRoot(workspace)
	if err != nil {
		return nil, fault.WithHint(fault.New(fault.NotFound, "cannot find the agent's workspace: %w", err),
			"only a run that brought a directory in has one: start it with --cwd")
	}
	s := &source{root: root}
	if err := s.check(); err != nil {
		_ = root.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) check() error {
	info, err := s.root.Lstat(".git")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.WithHint(fault.New(fault.NotFound, "cannot take branches: the agent's workspace is no git repository"),
			"its files are in %s", s.root.Name())
	case err != nil:
		return fmt.Errorf("cannot look at the agent's repository: %w", err)
	case !info.IsDir():
		return fault.WithHint(fault.New(fault.Unsupported, "cannot take branches: .git of the workspace is a pointer to a repository elsewhere, which was not brought in"),
			"its files are in %s", s.root.Name())
	}
	for _, dir := range []string{".git/objects", ".git/refs"} {
		if info, err := s.root.Lstat(dir); err != nil || !info.IsDir() {
			return fault.New(fault.Denied, "cannot take branches: %s of the agent's repository is no directory", dir)
		}
	}
	return nil
}

// Close lets go of the workspace.
func (s *source) Close() error { return s.root.Close() }

// left names what lies in the agent's repository and is never taken.
func (s *source) left() []string {
	entries, err := fs.ReadDir(s.root.FS(), ".git/hooks")
	if err != nil {
		return s.notes
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".sample") {
			s.notes = append(s.notes, "the hook .git/hooks/"+e.Name())
		}
	}
	return s.notes
}

// regular opens a file that is one, and no link to one, of at most limit bytes.
func (s *source) regular(path string, limit int64) (*os.File, int64, error) {
	before, err := s.root.Lstat(path)
	if err != nil {
		return nil, 0, err
	}
	if !before.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is no regular file", path)
	}
	f, err := s.root.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || !os.SameFile(before, info)) {
		err = fmt.Errorf("%s changed while it was opened", path)
	}
	if err == nil && info.Size() > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	if err == nil {
		if s.copied += info.Size(); s.copied > maxTotal {
			err = fmt.Errorf("there are more than %d bytes in all", int64(maxTotal))
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// small reads a whole file.
func (s *source) small(path string, limit int64) (string, error) {
	f, _, err := s.regular(path, limit)
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s grew while it was read", path)
	}
	return string(raw), err
}

// refs are the agent's branches, as it left them.
type refs struct {
	branches []ref // sorted by name
	head     string
}

type ref struct{ name, id string }

// refs reads the branches by the rules of gitrepository-layout(5); other refs are not taken. A
// loose one wins over a packed one.
func (s *source) refs() (refs, error) {
	all := map[string]string{}
	packed, err := s.small(".git/packed-refs", maxPackedRefs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refs{}, fmt.Errorf("cannot read the agent's branches: %w", err)
	}
	for lines := bufio.NewScanner(strings.NewReader(packed)); lines.Scan(); {
		id, name, ok := strings.Cut(lines.Text(), " ")
		if name, is := strings.CutPrefix(name, "refs/heads/"); ok && is && objectID(id) && s.takable(name) {
			all[name] = id
		}
	}
	err = fs.WalkDir(s.root.FS(), ".git/refs/heads", func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		if !e.Type().IsRegular() || strings.HasSuffix(path, ".lock") {
			return nil
		}
		text, err := s.small(path, maxSmall)
		name := strings.TrimPrefix(path, ".git/refs/heads/")
		if id := strings.TrimSpace(text); err == nil && objectID(id) && s.takable(name) {
			all[name] = id
		}
		if len(all) > maxBranches {
			return fmt.Errorf("there are more than %d", maxBranches)
		}
		return err
	})
	if err != nil || len(all) > maxBranches {
		return refs{}, fmt.Errorf("cannot read the agent's branches: %w", errors.Join(err, tooMany(len(all))))
	}
	return s.headed(all)
}

// takable reports whether a name shows as what it is; it becomes a branch of the host's.
func (s *source) takable(name string) bool {
	if name != "" && audit.Escape(name, maxName) == name {
		return true
	}
	s.notes = append(s.notes, "the branch "+audit.Escape(name, maxName)+", whose name has characters that are not shown, or too many")
	return false
}

func tooMany(n int) error {
	if n > maxBranches {
		return fmt.Errorf("there are %d; at most %d are taken", n, maxBranches)
	}
	return nil
}

// headed finds where HEAD is: on a branch, or on none, which is then taken as the branch HEAD.
func (s *source) headed(all map[string]string) (refs, error) {
	text, err := s.small(".git/HEAD", maxSmall)
	if err != nil {
		return refs{}, fmt.Errorf("cannot read the agent's HEAD: %w", err)
	}
	var r refs
	head := strings.TrimSpace(text)
	if name, on := strings.CutPrefix(head, "ref: refs/heads/"); on {
		r.head = all[strings.TrimSpace(name)]
	} else if objectID(head) {
		r.head = head
		if _, taken := all["HEAD"]; !taken {
			all["HEAD"] = head
		}
	}
	for name, id := range all {
		r.branches = append(r.branches, ref{name, id})
	}
	slices.SortFunc(r.branches, func(a, b ref) int { return strings.Compare(a.name, b.name) })
	return r, nil
}

// format tells by the length of its names how a repository hashes objects.
func (s *source) format(r refs) string {
	if len(r.branches) > 0 && len(r.branches[0].id) == 64 {
		return "sha256"
	}
	return "sha1"
}

// objectID reports whether text is a name of an object, whole.
func objectID(text string) bool {
	return (len(text) == 40 || len(text) == 64) && hexadecimal(text)
}

func hexadecimal(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }
