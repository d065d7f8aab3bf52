package clone_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bot-bottle/internal/clone"
)

// grow makes a tree with all that a tree can have.
func grow(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "deep", "er", "still"), 0o755))
	for name, content := range map[string]string{
		"plain": "hello", "empty": "", "odd \"name\"\n\té\xff": "odd", "-rf": "dash", "deep/er/still/file": strings.Repeat("x", 3<<20), ".hidden": "h",
	} {
		must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o640))
	}
	must(os.WriteFile(filepath.Join(dir, "locked"), []byte("no rights"), 0o400))
	must(os.Chmod(filepath.Join(dir, "plain"), 0o755|fs.ModeSetuid|fs.ModeSticky))
	must(os.Symlink("/etc/passwd", filepath.Join(dir, "out")))
	must(os.Symlink("nowhere", filepath.Join(dir, "deep", "dangling")))
	must(os.Link(filepath.Join(dir, "plain"), filepath.Join(dir, "deep", "second name")))
	must(unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	must(err)
	_, err = sparse.WriteAt([]byte("end"), 64<<20)
	must(errors.Join(err, sparse.Close()))
	if err := unix.Setxattr(filepath.Join(dir, "empty"), "user.note", []byte("kept"), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		must(os.Lchown(filepath.Join(dir, "out"), 1000, 1001))
		must(os.Lchown(filepath.Join(dir, "deep"), 1000, 1000))
	}
	old := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	must(os.Chtimes(filepath.Join(dir, "empty"), old, old))
	must(os.Chmod(filepath.Join(dir, "deep", "er"), 0o550|fs.ModeSetgid))
	must(os.Chtimes(filepath.Join(dir, "deep"), old, old))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "deep", "er"), 0o755) })
	return dir
}

// look describes a tree to the last bit that counts.
func look(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	first := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		name, _ := filepath.Rel(dir, path)
		said := fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
		if !e.IsDir() || name != "." {
			said += " " + info.ModTime().UTC().String()
		}
		switch {
		case info.Mode().IsRegular():
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			value := make([]byte, 64)
			n, _ := unix.Getxattr(path, "user.note", value)
			said += fmt.Sprintf(" %d %x %q same as %q", len(raw), hash(raw), value[:max(n, 0)], first[st.Ino])
			if st.Nlink > 1 && first[st.Ino] == "" {
				first[st.Ino] = name
			}
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			said += " to " + target
		}
		all[name] = said
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func hash(raw []byte) (sum uint64) {
	for _, c := range raw {
		sum = sum*1099511628211 + uint64(c)
	}
	return sum
}

func TestACopyIsExact(t *testing.T) {
	from := grow(t)
	to := filepath.Join(t.TempDir(), "copy")
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(to, "deep", "er"), 0o755) })
	sum, err := clone.Tree(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(look(t, from), look(t, to)); diff != "" {
		t.Errorf("the copy differs (-from +to):\n%s", diff)
	}
	if sum.Files != 8 || sum.Directories != 3 || sum.Links != 2 {
		t.Errorf("%+v", sum)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(to, "sparse"), &st); err != nil || st.Blocks*512 > 8<<20 {
		t.Errorf("the hole takes %d bytes, %v", st.Blocks*512, err)
	}
}

func TestWhatItsOwnerMayNotReadIsCopied(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	if err := os.MkdirAll(filepath.Join(from, "closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"closed/in", "none"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(t.TempDir(), "to")
	for _, dir := range []string{from, to} {
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "closed"), 0o700) })
	}
	if err := errors.Join(os.Chmod(filepath.Join(from, "none"), 0), os.Chmod(filepath.Join(from, "closed"), 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := clone.Tree(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{from, to} {
		for _, name := range []string{"none", "closed"} {
			if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0 {
				t.Errorf("%s in %s: %v, %v", name, dir, info.Mode(), err)
			}
		}
		_ = os.Chmod(filepath.Join(dir, "closed"), 0o700)
		if raw, err := os.ReadFile(filepath.Join(dir, "closed", "in")); err != nil || string(raw) != "closed/in" {
			t.Errorf("%s: %q, %v", dir, raw, err)
		}
	}
}

func TestAFileWithAFirstNameInAClosedDirectoryIsLinked(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	if err := os.MkdirAll(filepath.Join(from, "a", "closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	first, second := filepath.Join("a", "closed", "one"), "two"
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := errors.Join(os.WriteFile(filepath.Join(from, first), []byte("1"), 0o600), os.Link(filepath.Join(from, first), filepath.Join(from, second)),
		os.Chmod(filepath.Join(from, "a", "closed"), 0), os.Chtimes(filepath.Join(from, "a"), old, old), os.Chmod(filepath.Join(from, "a"), 0)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{from, to} {
		t.Cleanup(func() {
			_ = os.Chmod(filepath.Join(dir, "a"), 0o700)
			_ = os.Chmod(filepath.Join(dir, "a", "closed"), 0o700)
		})
	}
	if _, err := clone.Tree(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(to, "a"))
	if err != nil || info.Mode().Perm() != 0 || !info.ModTime().Equal(old) {
		t.Fatalf("%v, %v", info, err)
	}
	_ = os.Chmod(filepath.Join(to, "a"), 0o700)
	if info, err = os.Stat(filepath.Join(to, "a", "closed")); err != nil || info.Mode().Perm() != 0 {
		t.Errorf("%v, %v", info, err)
	}
	_ = os.Chmod(filepath.Join(to, "a", "closed"), 0o700)
	one, err := os.Stat(filepath.Join(to, first))
	two, err2 := os.Stat(filepath.Join(to, second))
	if err := errors.Join(err, err2); err != nil || !os.SameFile(one, two) {
		t.Errorf("they are not one file, %v", err)
	}
}

func TestSocketsAreLeftAndNamed(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	if err := os.Mkdir(from, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(from, "s")}); err != nil {
		t.Fatal(err)
	}
	sum, err := clone.Tree(t.Context(), from, filepath.Join(t.TempDir(), "to"))
	if err != nil || len(sum.Left) != 1 || sum.Left[0] != "s" {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestWhatCannotBeCopiedWholeIsAnError(t *testing.T) {
	from := grow(t)
	if _, err := clone.Tree(t.Context(), from, t.TempDir()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a directory: %v", err)
	}
	if _, err := clone.Tree(t.Context(), filepath.Join(from, "missing"), filepath.Join(t.TempDir(), "to")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := clone.Tree(ctx, from, filepath.Join(t.TempDir(), "to")); !errors.Is(err, context.Canceled) {
		t.Errorf("when told to stop: %v", err)
	}
	deep := filepath.Join(t.TempDir(), "deep")
	if err := os.MkdirAll(filepath.Join(deep, strings.Repeat("d/", 600)), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := clone.Tree(t.Context(), deep, filepath.Join(t.TempDir(), "to")); err == nil || !strings.Contains(err.Error(), "deep") {
		t.Errorf("of a tree without end: %v", err)
	}
}
