package pull_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/pull"
)

// world is a repository of the host and the agent's copy of it.
type world struct {
	t           *testing.T
	host, agent string
	canary      string // a file that exists once anything of the agent's has run
	trap        string // a program that makes it
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	dir := t.TempDir()
	w := &world{t: t, host: filepath.Join(dir, "host"), agent: filepath.Join(dir, "agent"), canary: filepath.Join(dir, "ran"), trap: filepath.Join(dir, "trap")}
	w.git(dir, "init", "-q", "-b", "main", w.host)
	w.write(w.host, "README", "hello\n")
	w.write(w.host, "old.txt", "old\n")
	w.git(w.host, "add", ".")
	w.git(w.host, "commit", "-qm", "first")
	if out, err := exec.Command("cp", "-a", w.host, w.agent).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if err := os.WriteFile(w.trap, []byte("#!/bin/sh\necho \"$0 $*\" >>'"+w.canary+"'\ncat\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Agent", "-c", "user.email=agent@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) write(dir, name, content string) {
	w.t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) take() (*pull.Work, error) {
	w.t.Helper()
	work, err := pull.Take(w.t.Context(), instance.ID("claude-abcde"), w.agent, w.host, w.t.TempDir())
	if err == nil {
		w.t.Cleanup(func() { _ = work.Close() })
	}
	return work, err
}

func (w *world) pulled() *pull.Work {
	w.t.Helper()
	work, err := w.take()
	if err != nil {
		w.t.Fatal(err)
	}
	if !work.Empty() {
		if err := work.Fetch(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	return work
}

func names(work *pull.Work) []string {
	var all []string
	for _, b := range work.Branches {
		all = append(all, b.Name)
	}
	return all
}

func TestCommittedAndUncommittedWorkBecomesBranches(t *testing.T) {
	w := newWorld(t)
	w.write(w.agent, "new.txt", "new\n")
	w.git(w.agent, "add", "new.txt")
	w.git(w.agent, "commit", "-qm", "add new")
	w.git(w.agent, "branch", "side/work")
	w.write(w.agent, "README", "hello, changed\n")
	w.write(w.agent, "odd \"name\"\\\n\ttab é", "odd\n")
	w.write(w.agent, ".gitignore", "ignored\n")
	w.write(w.agent, "ignored", "no\n")
	if err := os.Remove(filepath.Join(w.agent, "old.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../etc/passwd", filepath.Join(w.agent, "link")); err != nil {
		t.Fatal(err)
	}
	w.write(w.agent, "run.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(w.agent, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	work := w.pulled()
	if got := names(work); !slices.Equal(got, []string{"bottle/claude-abcde/main", "bottle/claude-abcde/side/work", "bottle/claude-abcde/uncommitted"}) {
		t.Fatalf("branches %q", got)
	}
	if got := w.git(w.host, "log", "--format=%s", "main..bottle/claude-abcde/main"); got != "add new" {
		t.Errorf("commits %q", got)
	}
	var files []string
	for line := range strings.SplitSeq(w.git(w.host, "ls-tree", "-r", "-z", "bottle/claude-abcde/uncommitted"), "\x00") {
		if about, path, ok := strings.Cut(line, "\t"); ok {
			files = append(files, about[:6]+" "+path)
		}
	}
	for _, want := range []string{"100644 README", "100644 new.txt", "100644 odd \"name\"\\\n\ttab é", "120000 link", "100755 run.sh", "100644 .gitignore"} {
		if !slices.Contains(files, want) {
			t.Errorf("%q is not in %q", want, files)
		}
	}
	if len(files) != 6 {
		t.Errorf("there is more: %q", files)
	}
	if got := w.git(w.host, "show", "bottle/claude-abcde/uncommitted:README"); got != "hello, changed" {
		t.Errorf("README is %q", got)
	}
	if status := w.git(w.host, "status", "--porcelain"); status != "" {
		t.Errorf("the host's own tree changed: %q", status)
	}
	w.write(w.agent, "README", "hello, again\n")
	w.pulled()
	if got := w.git(w.host, "show", "bottle/claude-abcde/uncommitted:README"); got != "hello, again" {
		t.Errorf("after a second pull README is %q", got)
	}
}

func TestNothingNewIsNothing(t *testing.T) {
	w := newWorld(t)
	work := w.pulled()
	if !work.Empty() || len(work.Branches) != 0 {
		t.Errorf("%+v", work.Branches)
	}
}

func TestAPackOfTheAgentsIsTaken(t *testing.T) {
	w := newWorld(t)
	w.write(w.agent, "a", "a\n")
	w.git(w.agent, "add", ".")
	w.git(w.agent, "commit", "-qm", "packed")
	w.git(w.agent, "gc", "-q", "--prune=now")
	w.git(w.agent, "pack-refs", "--all")
	if work := w.pulled(); len(work.Branches) != 1 || work.Branches[0].Commits[0].Subject != "packed" {
		t.Errorf("%+v", work.Branches)
	}
}

func TestADetachedHeadIsABranchOfThatName(t *testing.T) {
	w := newWorld(t)
	w.git(w.agent, "checkout", "-q", "--detach")
	w.git(w.agent, "commit", "-q", "--allow-empty", "-m", "nowhere")
	if got := names(w.pulled()); !slices.Equal(got, []string{"bottle/claude-abcde/HEAD"}) {
		t.Errorf("%q", got)
	}
}

// traps are ways in which a repository makes git run a program; each is armed in the agent's copy.
func traps(w *world) map[string]func() {
	config := func(key, value string) func() { return func() { w.git(w.agent, "config", key, value) } }
	nested := func(arm func(dir string)) func() {
		return func() {
			sub := filepath.Join(w.agent, "sub")
			w.git(w.agent, "init", "-q", sub)
			w.write(sub, "f", "f\n")
			w.git(sub, "add", ".")
			w.git(sub, "commit", "-qm", "sub")
			w.git(w.agent, "add", "sub")
			w.git(w.agent, "commit", "-qm", "a gitlink")
			w.write(sub, "f", "changed\n")
			arm(sub)
		}
	}
	return map[string]func(){
		"core.fsmonitor":                config("core.fsmonitor", w.trap),
		"core.sshCommand":               config("core.sshCommand", w.trap),
		"core.gitProxy":                 config("core.gitProxy", w.trap),
		"core.pager":                    config("core.pager", w.trap),
		"core.editor":                   config("core.editor", w.trap),
		"core.alternateRefsCommand":     config("core.alternateRefsCommand", w.trap),
		"diff.external":                 config("diff.external", w.trap),
		"uploadpack.packObjectsHook":    config("uploadpack.packObjectsHook", w.trap),
		"gpg.program":                   config("gpg.program", w.trap),
		"an include of configuration":   config("include.path", "evil.inc"),
		"core.worktree leads elsewhere": config("core.worktree", filepath.Dir(w.agent)),
		"filter.*.clean, smudge and process by .gitattributes": func() {
			w.git(w.agent, "config", "filter.evil.clean", w.trap)
			w.git(w.agent, "config", "filter.evil.smudge", w.trap)
			w.write(w.agent, ".gitattributes", "* filter=evil diff=evil merge=evil\n")
		},
		"diff.*.command and textconv by .gitattributes": func() {
			w.git(w.agent, "config", "diff.evil.command", w.trap)
			w.git(w.agent, "config", "diff.evil.textconv", w.trap)
			w.write(w.agent, ".gitattributes", "* diff=evil\n")
		},
		"core.hooksPath": func() {
			for _, hook := range []string{"post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc", "fsmonitor-watchman", "post-rewrite", "pre-push", "update"} {
				w.copyTrap(filepath.Join(w.agent, "hooks", hook))
			}
			w.git(w.agent, "config", "core.hooksPath", filepath.Join(w.agent, "hooks"))
		},
		"hooks in .git/hooks": func() {
			for _, hook := range []string{"post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc", "post-commit", "pre-commit"} {
				w.copyTrap(filepath.Join(w.agent, ".git", "hooks", hook))
			}
		},
		"a nested repository with core.fsmonitor": nested(func(dir string) { w.git(dir, "config", "core.fsmonitor", w.trap) }),
		"a nested repository with a filter": nested(func(dir string) {
			w.git(dir, "config", "filter.evil.clean", w.trap)
			w.write(dir, ".gitattributes", "* filter=evil\n")
		}),
		"a worktree pointer inside": func() {
			w.write(w.agent, "elsewhere/.git", "gitdir: "+filepath.Join(w.agent, "evil.git")+"\n")
			w.git(w.agent, "init", "-q", "--bare", filepath.Join(w.agent, "evil.git"))
			w.git(filepath.Join(w.agent, "evil.git"), "config", "core.fsmonitor", w.trap)
		},
	}
}

func (w *world) copyTrap(to string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		w.t.Fatal(err)
	}
	raw, err := os.ReadFile(w.trap)
	if err == nil {
		err = os.WriteFile(to, raw, 0o755)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestNothingThatTheAgentConfiguredRuns(t *testing.T) {
	for name := range traps(newWorld(t)) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(w.agent, "work.txt", "work\n")
			w.git(w.agent, "add", ".")
			w.git(w.agent, "commit", "-qm", "work")
			w.write(w.agent, "evil.inc", "[core]\n\tfsmonitor = "+w.trap+"\n")
			traps(w)[name]()
			w.write(w.agent, "work.txt", "more work\n")
			if err := os.Remove(w.canary); err != nil && !os.IsNotExist(err) { // arming it may have fired it
				t.Fatal(err)
			}
			work := w.pulled()
			for _, b := range work.Branches {
				if err := work.Diff(t.Context(), b, false, io.Discard); err != nil {
					t.Error(err)
				}
			}
			if raw, err := os.ReadFile(w.canary); err == nil {
				t.Errorf("it ran: %s", raw)
			}
			if got := w.git(w.host, "show", "bottle/claude-abcde/uncommitted:work.txt"); got != "more work" {
				t.Errorf("the work is %q", got)
			}
		})
	}
}

// TestTheTrapsWork shows that each of them would fire: git in the agent's copy itself runs some.
func TestTheTrapsWork(t *testing.T) {
	for name, use := range map[string][]string{
		"core.fsmonitor": {"status"},
		"diff.external":  {"diff"},
		"a nested repository with core.fsmonitor":              {"status"},
		"filter.*.clean, smudge and process by .gitattributes": {"add", "-A"},
		"hooks in .git/hooks":                                  {"commit", "-q", "--allow-empty", "-m", "x"},
		"core.hooksPath":                                       {"update-ref", "refs/heads/other", "HEAD"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			traps(w)[name]()
			w.write(w.agent, "README", "changed\n")
			_ = exec.Command("git", append([]string{"-C", w.agent, "-c", "user.name=a", "-c", "user.email=a@b"}, use...)...).Run()
			if _, err := os.Stat(w.canary); err != nil {
				t.Errorf("the trap does not fire: %v", err)
			}
		})
	}
}

func TestWhatIsMalformedIsRefused(t *testing.T) {
	object := func(w *world) string {
		id := w.git(w.agent, "rev-parse", "HEAD")
		return filepath.Join(w.agent, ".git", "objects", id[:2], id[2:])
	}
	replace := func(w *world, path string, content []byte) {
		_ = os.Chmod(path, 0o600)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		harm func(*world)
		kind fault.Kind
	}{
		"an object that is not what its name says": {func(w *world) {
			blob := w.git(w.agent, "rev-parse", "HEAD:README")
			raw, err := os.ReadFile(filepath.Join(w.host, ".git", "objects", blob[:2], blob[2:]))
			if err != nil {
				w.t.Fatal(err)
			}
			replace(w, object(w), raw)
		}, fault.Denied},
		"a file that is not what its name says": {func(w *world) {
			ids := []string{w.git(w.agent, "rev-parse", "HEAD:x"), w.git(w.agent, "rev-parse", "HEAD:README")}
			raw, err := os.ReadFile(filepath.Join(w.host, ".git", "objects", ids[1][:2], ids[1][2:]))
			if err != nil {
				w.t.Fatal(err)
			}
			replace(w, filepath.Join(w.agent, ".git", "objects", ids[0][:2], ids[0][2:]), raw)
		}, fault.Denied},
		"an object that is no zlib stream": {func(w *world) { replace(w, object(w), []byte("nothing")) }, fault.Denied},
		"an object that is a link out": {func(w *world) {
			_ = os.Remove(object(w))
			if err := os.Symlink("/etc/passwd", object(w)); err != nil {
				w.t.Fatal(err)
			}
		}, fault.Denied},
		"an object that is missing": {func(w *world) {
			tree := w.git(w.agent, "rev-parse", "HEAD^{tree}")
			if err := os.Remove(filepath.Join(w.agent, ".git", "objects", tree[:2], tree[2:])); err != nil {
				w.t.Fatal(err)
			}
		}, fault.Denied},
		"a tree with .git in it": {func(w *world) {
			blob := w.git(w.agent, "rev-parse", "HEAD:README")
			cmd := exec.Command("git", "-C", w.agent, "mktree")
			cmd.Stdin = strings.NewReader("100644 blob " + blob + "\tconfig\n")
			inner, err := cmd.Output()
			if err != nil {
				w.t.Fatal(err)
			}
			cmd = exec.Command("git", "-C", w.agent, "mktree")
			cmd.Stdin = strings.NewReader("040000 tree " + strings.TrimSpace(string(inner)) + "\t.git\n")
			outer, err := cmd.Output()
			if err != nil {
				w.t.Fatal(err)
			}
			commit := w.git(w.agent, "commit-tree", "-m", "evil", strings.TrimSpace(string(outer)))
			w.git(w.agent, "update-ref", "refs/heads/evil", commit)
		}, fault.Unavailable}, // by the host's fetch, which checks what comes in
		"a branch with a name that climbs": {func(w *world) {
			id := w.git(w.agent, "rev-parse", "HEAD")
			w.write(w.agent, ".git/packed-refs", id+" refs/heads/../../config\n")
		}, fault.Denied},
		"a pack that is no pack": {func(w *world) {
			w.write(w.agent, ".git/objects/pack/pack-"+strings.Repeat("a", 40)+".pack", "PACK nonsense")
		}, fault.Denied},
		"objects elsewhere": {func(w *world) {
			moved := filepath.Join(filepath.Dir(w.agent), "moved")
			if err := os.Rename(filepath.Join(w.agent, ".git", "objects"), moved); err != nil {
				w.t.Fatal(err)
			}
			if err := os.Symlink(moved, filepath.Join(w.agent, ".git", "objects")); err != nil {
				w.t.Fatal(err)
			}
		}, fault.Denied},
		"alternates that lead to another repository of the host": {func(w *world) {
			other := filepath.Join(filepath.Dir(w.agent), "private")
			w.git(filepath.Dir(w.agent), "init", "-q", "-b", "main", other)
			w.write(other, "private", "private\n")
			w.git(other, "add", ".")
			w.git(other, "commit", "-qm", "private")
			w.write(w.agent, ".git/objects/info/alternates", filepath.Join(other, ".git", "objects")+"\n")
			w.write(w.agent, ".git/refs/heads/stolen", w.git(other, "rev-parse", "HEAD")+"\n")
		}, fault.Denied},
		"a pointer in the place of .git": {func(w *world) {
			if err := os.Rename(filepath.Join(w.agent, ".git"), filepath.Join(w.agent, "git")); err != nil {
				w.t.Fatal(err)
			}
			w.write(w.agent, ".git", "gitdir: "+filepath.Join(w.host, ".git")+"\n")
		}, fault.Unsupported},
		"no repository": {func(w *world) {
			if err := os.RemoveAll(filepath.Join(w.agent, ".git")); err != nil {
				w.t.Fatal(err)
			}
		}, fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(w.agent, "x", "x\n")
			w.git(w.agent, "add", ".")
			w.git(w.agent, "commit", "-qm", "x")
			before := w.git(w.host, "for-each-ref")
			c.harm(w)
			work, err := w.take()
			if err == nil {
				err = work.Fetch(t.Context())
			}
			if !fault.Is(err, c.kind) {
				t.Errorf("got %v, want a fault of kind %v", err, c.kind)
			}
			if after := w.git(w.host, "for-each-ref"); after != before {
				t.Errorf("the host's refs changed:\n%s", after)
			}
		})
	}
}

func TestFilesThatRunLaterAreListedApart(t *testing.T) {
	w := newWorld(t)
	want := []string{
		".claude/settings.json", ".envrc", ".github/workflows/ci.yml", ".husky/pre-commit", ".vscode/tasks.json", "Makefile", "package.json",
		"deep/.GitAttributes", "deep/conftest.py", "Dockerfile.dev", ".gitmodules",
	}
	for _, name := range want {
		w.write(w.agent, name, "{}\n")
	}
	w.write(w.agent, "src/plain.go", "package plain\n")
	w.copyTrap(filepath.Join(w.agent, "tool"))
	if err := os.Symlink("/etc/passwd", filepath.Join(w.agent, "link")); err != nil {
		t.Fatal(err)
	}
	w.copyTrap(filepath.Join(w.agent, ".git", "hooks", "post-merge"))
	work := w.pulled()
	var got []string
	for _, l := range work.Branches[0].Later {
		got = append(got, l.Path)
	}
	slices.Sort(got)
	want = append(want, "tool", "link")
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if !slices.Contains(work.Left, "the hook .git/hooks/post-merge") {
		t.Errorf("left %q", work.Left)
	}
}

func TestARepositoryIsNeeded(t *testing.T) {
	w := newWorld(t)
	_, err := pull.Take(t.Context(), "claude-abcde", w.agent, t.TempDir(), t.TempDir())
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
}
