package build

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// planted makes files of a directory; a name that ends in "/" is a directory, "a -> b" a link.
func planted(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		name, target, link := strings.Cut(name, " -> ")
		path := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o700)
		default:
			err = os.WriteFile(path, []byte("of "+name), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func opened(t *testing.T, dir string) *tree {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return &tree{root: root}
}

func walked(t *testing.T, tr *tree) string {
	t.Helper()
	var names []string
	err := tr.walk(t.Context(), func(name string, info fs.FileInfo, link string) error {
		if info.IsDir() {
			name += "/"
		}
		if link != "" {
			name += ">" + link
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestWhatIsIgnoredStaysHere(t *testing.T) {
	dir := planted(t, "a", "b/c", "b/d/e", "b/d/keep", "b-c", "node_modules/x/y", "x.log", "deep/x.log", "out -> /etc/passwd")
	for _, c := range []struct{ lines, want string }{
		{"", "a b/ b/c b/d/ b/d/e b/d/keep b-c deep/ deep/x.log node_modules/ node_modules/x/ node_modules/x/y out>/etc/passwd x.log"},
		{"node_modules\nb", "a b-c deep/ deep/x.log out>/etc/passwd x.log"},
		{"# a comment\n\n/node_modules/\n*.log\nb", "a b-c deep/ deep/x.log out>/etc/passwd"},
		{"**/*.log\nnode_modules\nb*\nout", "a deep/"},
		{"b\n!b/d/keep\nnode_modules\ndeep\n*.log\nout", "a b/ b/d/ b/d/keep b-c"},
		{"*\n!b/d\nb/d/e", "b/ b/d/ b/d/keep"},
		{"*\n!**/y", "node_modules/ node_modules/x/ node_modules/x/y"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "..", "ignore"), []byte(c.lines), 0o600); err != nil {
			t.Fatal(err)
		}
		tr, of := opened(t, dir), opened(t, filepath.Dir(dir))
		patterns, err := ignored(of.root, "no such file", "ignore")
		if err == nil {
			err = tr.exclude(patterns)
		}
		if got := walked(t, tr); err != nil || got != c.want {
			t.Errorf("%q leaves\n%s, %v, want\n%s", c.lines, got, err, c.want)
		}
	}
}

func TestOnlyWhatIsCopiedGoesAlong(t *testing.T) {
	dir := planted(t, "a/b/c", "a/b/d", "a/e", "f", "big/x", "link -> a", "a/up -> ../big")
	const all = "a/ a/b/ a/b/c a/b/d a/e a/up>../big big/ big/x f link>a"
	for _, c := range []struct{ follow, want string }{
		{"f", "f"},
		{"/a/b/", "a/ a/b/ a/b/c a/b/d"},
		{"a/b/* f", "a/ a/b/ a/b/c a/b/d f"},
		{"a/b/../e", "a/ a/e"},
		{"no/such/file", ""},
		{"../../etc/passwd", ""},
		{"*", all},
		{".", all},
		{"link/b", all},
		{"a/up/x", all},
	} {
		tr := opened(t, dir)
		tr.follow(strings.Fields(c.follow))
		if got := walked(t, tr); got != c.want {
			t.Errorf("for %q go\n%s, want\n%s", c.follow, got, c.want)
		}
	}
}

func TestNothingSpecialTravels(t *testing.T) {
	dir := planted(t, "a")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := walked(t, opened(t, dir)); got != "a" {
		t.Errorf("%q goes along", got)
	}
}

func TestAPipeIsNotReadForWhatIsIgnored(t *testing.T) {
	dir := planted(t, "a")
	for _, name := range []string{ignoreName, "Dockerfile" + ignoreName} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := ignored(root, ignoreName); err == nil {
		t.Error("the classic builder takes it")
	}
	b := &builder{Request: Request{Dir: dir, Name: "Dockerfile"}}
	if _, err := b.ownIgnoreFile(); err == nil {
		t.Error("BuildKit is given it")
	}
}

// A file that was exchanged after it was named must not lead out of the directory.
func TestAFileThatBecameALinkIsNotOpened(t *testing.T) {
	outside := planted(t, "key")
	dir := planted(t, "inside", "a -> "+filepath.Join(outside, "key"), "b -> inside", "c -> ..")
	tr := opened(t, dir)
	for _, name := range []string{"a", "b", "c", "c/../inside/../../x", "../" + filepath.Base(outside)} {
		if f, err := tr.open(name); err == nil {
			_ = f.Close()
			t.Errorf("%s was opened", name)
		}
	}
}
