package gate_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// TestNothingOfARepositoryRuns puts a program into everything that git would run, in the upstream
// and in what is pushed.
func TestNothingOfARepositoryRuns(t *testing.T) {
	w := open(t, pushes(plan.GitPush{Refs: []string{"*"}}))
	canary := filepath.Join(t.TempDir(), "ran")
	run := "touch " + canary
	dir := w.clone()
	w.commit(dir, ".gitattributes", "* filter=evil diff=evil merge=evil\n", "attributes")
	w.commit(dir, ".gitconfig", "[core]\n\tfsmonitor = "+run+"\n\tsshCommand = "+run+"\n[filter \"evil\"]\n\tclean = "+run+"\n\tsmudge = "+run+"\n", "config")
	w.commit(dir, "config", "[core]\n\tfsmonitor = "+run+"\n[uploadpack]\n\tpackObjectsHook = "+run+"\n", "a bare repository in a tree")
	w.commit(dir, "HEAD", "ref: refs/heads/main\n", "and its HEAD")
	w.commit(dir, "hooks/pre-receive", "#!/bin/sh\n"+run+"\n", "and its hook")
	w.commit(dir, ".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/\n", "lfs")
	gatetest.Git(t, dir, "push", "-q", "origin", "HEAD:main")
	gatetest.Git(t, w.clone(), "log")
	// What the agent writes on its own side stays there.
	for _, setting := range []string{"core.fsmonitor", "core.sshCommand", "uploadpack.packObjectsHook"} {
		gatetest.Git(t, filepath.Join(w.repo.Mirror, "repo.git"), "config", "--local", setting, run) // even where it got that far
	}
	w.write(filepath.Join(w.repo.Mirror, "repo.git", "description"), "x", 0o600)
	hooks := filepath.Join(w.repo.Mirror, "repo.git", "hooks")
	if err := os.MkdirAll(hooks, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, hook := range []string{"reference-transaction", "pre-receive", "update", "post-receive", "pre-push", "post-update"} {
		w.write(filepath.Join(hooks, hook), "#!/bin/sh\n"+run+"\n", 0o700)
	}
	w.commitUpstream("later", "x\n", "later")
	gatetest.Git(t, dir, "pull", "-q", "--rebase", "origin", "main")
	w.commit(dir, "b", "b\n", "b")
	gatetest.Git(t, dir, "push", "-q", "origin", "HEAD:main")
	if _, err := os.Stat(canary); err == nil {
		t.Error("a program of the repository was run")
	}
}

// TestUnsoundObjects pushes what fsck knows as an attack.
func TestUnsoundObjects(t *testing.T) {
	w := open(t)
	for name, make := range map[string]func(dir string) string{
		"a submodule whose URL is an option":  func(dir string) string { return w.modules(dir, "a", "--upload-pack=touch /tmp/x") },
		"a submodule whose path is an option": func(dir string) string { return w.modules(dir, "-a", "https://git.example.org/a") },
		"a submodule outside":                 func(dir string) string { return w.moduleName(dir, "../../x") },
		"a file in .git":                      func(dir string) string { return w.tree(dir, "100644", ".git") },
		"a file in .GIT":                      func(dir string) string { return w.tree(dir, "100644", ".GiT") },
		"a file named ..":                     func(dir string) string { return w.tree(dir, "100644", "..") },
		"a path in a name":                    func(dir string) string { return w.tree(dir, "100644", "a/b") },
		"a link named .gitmodules":            func(dir string) string { return w.tree(dir, "120000", ".gitmodules") },
	} {
		t.Run(name, func(*testing.T) {
			dir := w.clone()
			oid := make(dir)
			w.refused(dir, "not sound", "origin", oid+":refs/heads/bottle/dev-abc12/work")
		})
	}
}

func (w *world) modules(dir, path, url string) string {
	w.commit(dir, ".gitmodules", "[submodule \"a\"]\n\tpath = "+path+"\n\turl = "+url+"\n", "modules")
	return gatetest.Git(w.t, dir, "rev-parse", "HEAD")
}

func (w *world) moduleName(dir, name string) string {
	w.commit(dir, ".gitmodules", "[submodule \""+name+"\"]\n\tpath = a\n\turl = https://git.example.org/a\n", "modules")
	return gatetest.Git(w.t, dir, "rev-parse", "HEAD")
}

// tree makes a commit of a tree with one odd entry, which git itself would not make.
func (w *world) tree(dir, mode, name string) string {
	w.t.Helper()
	w.write(filepath.Join(dir, ".git", "made"), "x", 0o600)
	blob := gatetest.Git(w.t, dir, "hash-object", "-w", ".git/made")
	raw := make([]byte, 20)
	_, _ = fmt.Sscanf(blob, "%x", &raw)
	w.write(filepath.Join(dir, ".git", "made"), mode+" "+name+"\x00"+string(raw), 0o600)
	tree := gatetest.Git(w.t, dir, "hash-object", "--literally", "-t", "tree", "-w", ".git/made")
	return gatetest.Git(w.t, dir, "commit-tree", "-p", "HEAD", "-m", "odd", tree)
}

// pack builds a pack by hand: each entry is a type, a size and its content.
func pack(entries ...[]byte) []byte {
	var b bytes.Buffer
	b.WriteString("PACK")
	_ = binary.Write(&b, binary.BigEndian, uint32(2))
	_ = binary.Write(&b, binary.BigEndian, uint32(len(entries)))
	for _, e := range entries {
		b.Write(e)
	}
	sum := sha1.Sum(b.Bytes())
	return append(b.Bytes(), sum[:]...)
}

// entry is one object of a pack; the content may be another than its size says.
func entry(kind byte, size int64, content io.Reader) []byte {
	var b bytes.Buffer
	c := kind<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		b.WriteByte(c | 0x80)
		c = byte(size & 0x7f)
	}
	b.WriteByte(c)
	z := zlib.NewWriter(&b)
	_, _ = io.Copy(z, content)
	_ = z.Close()
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// post sends a push made by hand, and returns what the gate says.
func (w *world) post(ref string, body []byte) string {
	w.t.Helper()
	return w.command(strings.Repeat("0", 40), strings.Repeat("1", 40), ref, body)
}

func (w *world) command(from, to, ref string, body []byte) string {
	w.t.Helper()
	line := from + " " + to + " " + ref + "\x00 report-status side-band-64k"
	request := fmt.Sprintf("%04x%s0000%s", len(line)+4, line, body)
	resp, err := http.Post(w.url+"/app/git-receive-pack", "application/x-git-receive-pack-request", strings.NewReader(request))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nothingLeft()
	return string(said)
}

func TestPacksThatAreAttacks(t *testing.T) {
	w := open(t, pushes(plan.GitPush{MaxBytes: 4 << 20}))
	const ref = "refs/heads/bottle/dev-abc12/x"
	const huge = 1 << 30
	commit := entry(1, 10, strings.NewReader("tree 12345"))
	for name, row := range map[string]struct {
		body []byte
		want string
	}{
		"no pack":                    {nil, "pack cannot be read"},
		"not a pack":                 {[]byte("GIF89a, and more of it"), "pack cannot be read"},
		"cut off":                    {pack(commit)[:20], "not sound"},
		"a wrong sum":                {append(pack(commit)[:len(pack(commit))-1], 0), "not sound"},
		"more than it says":          {append(pack(commit), "more of it"...), ""},
		"a file that unpacks to 1 G": {pack(entry(3, huge, io.LimitReader(zeros{}, huge))), "unpacks to"},
		"larger than allowed":        {pack(entry(3, 5<<20, noise(5<<20))), "too large"},
		"another size than it says":  {pack(entry(3, 100, strings.NewReader("short"))), "not sound"},
		"a delta without a base":     {pack(entry(7, 100, strings.NewReader("delta"))), "not sound"},
		"a commit that is none":      {pack(commit), "not sound"},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.up.Pushes()
			if said := w.post(ref, row.body); !strings.Contains(said, "ng "+ref) || !strings.Contains(said, row.want) {
				t.Errorf("%q", said)
			}
			if w.up.Pushes() != before {
				t.Error("it reached the upstream")
			}
		})
	}
}

// noise does not compress.
func noise(n int64) io.Reader {
	return io.LimitReader(&pseudo{state: 1}, n)
}

type pseudo struct{ state uint64 }

func (s *pseudo) Read(p []byte) (int, error) {
	for i := range p {
		s.state = s.state*6364136223846793005 + 1442695040888963407
		p[i] = byte(s.state >> 33)
	}
	return len(p), nil
}

func TestRequestsThatAreNoPush(t *testing.T) {
	w := open(t)
	for name, row := range map[string]struct {
		path, body string
		status     int
	}{
		"no pkt-line":     {"/app/git-receive-pack", "GET / HTTP/1.1", 400},
		"a bad command":   {"/app/git-receive-pack", "0010refs/heads/x0000", 400},
		"another service": {"/app/git-upload-archive", "0000", 404},
		"dumb protocol":   {"/app/objects/info/packs", "", 404},
		"the config":      {"/app/config", "", 404},
		"outside":         {"/app/../../../etc/passwd", "", 404},
		"another repo":    {"/other/git-receive-pack", "0000", 404},
		"only a look":     {"/app/git-receive-pack", "0000", 200},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := http.Post(w.url+row.path, "x", strings.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != row.status {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
}
