package gate_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/gate"
	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
)

// world is a gate in front of a real server, and what it wrote down.
type world struct {
	t      *testing.T
	up     *gatetest.Upstream
	repo   plan.GitRepo
	url    string // of the gate
	dir    string // the gate's own
	server *gitgate.Server

	mu     sync.Mutex // guards events
	events []audit.Event
}

func (w *world) Record(e audit.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

type option func(*gitgate.Config, *gitgate.Deps)

func pushes(p plan.GitPush) option {
	return func(c *gitgate.Config, _ *gitgate.Deps) { c.Repos[0].Push = p }
}

func asks(a ask.Asker) option { return func(_ *gitgate.Config, d *gitgate.Deps) { d.Asker = a } }

func knows(known map[string]secret.String) option {
	return func(_ *gitgate.Config, d *gitgate.Deps) { d.Scanner = gate.NewScanner(known, nil) }
}

// open makes a gate for one repository, app.
func open(t *testing.T, options ...option) *world {
	t.Helper()
	up := gatetest.New(t)
	w := &world{t: t, up: up, dir: t.TempDir()}
	w.repo = plan.GitRepo{Name: "app", URL: up.Repository("app"), Key: up.Key, HostKey: up.HostKey, Mirror: t.TempDir()}
	w.url, w.server = w.serve(options...)
	return w
}

// serve starts one more gate on the same upstream and mirror.
func (w *world) serve(options ...option) (string, *gitgate.Server) {
	w.t.Helper()
	key, err := os.ReadFile(w.up.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		w.t.Fatal(err)
	}
	c := gitgate.Config{ID: "dev-abc12", Dir: filepath.Join(w.t.TempDir(), "gate"), Git: git, Repos: []plan.GitRepo{w.repo}}
	d := gitgate.Deps{
		Scanner: gate.NewScanner(nil, nil), Keys: map[string]secret.String{"app": secret.New(string(key))}, Audit: w,
		Isolated: gate.CanIsolate(w.t.Context(), git),
	}
	for _, o := range options {
		o(&c, &d)
	}
	s, err := gitgate.New(c, d)
	if err != nil {
		w.t.Fatal(err)
	}
	w.dir = c.Dir
	front := httptest.NewServer(s)
	w.t.Cleanup(func() {
		front.Close()
		_ = s.Close()
	})
	return front.URL, s
}

// insteadOf is the agent's setting for a gate.
func (w *world) insteadOf(url string) []string {
	return []string{"-c", "url." + url + "/app/.insteadOf=" + strings.TrimSuffix(w.repo.URL, ".git")}
}

// clone makes a working copy through the gate.
func (w *world) clone(args ...string) string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "work")
	all := append(w.insteadOf(w.url), "clone", "-q")
	gatetest.Git(w.t, "", append(append(all, args...), w.repo.URL, dir)...)
	gatetest.Git(w.t, dir, "config", "url."+w.url+"/app/.insteadOf", strings.TrimSuffix(w.repo.URL, ".git"))
	return dir
}

// commit writes a file and commits it.
func (w *world) commit(dir, name, content, message string) {
	w.t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	gatetest.Git(w.t, dir, "add", "-f", name)
	gatetest.Git(w.t, dir, "commit", "-q", "-m", message)
}

// refused pushes and wants a refusal that says so, of which nothing reached the upstream.
func (w *world) refused(dir string, want string, args ...string) string {
	w.t.Helper()
	before := w.up.Pushes()
	out, err := gatetest.Try(dir, append([]string{"push"}, args...)...)
	if err == nil {
		w.t.Errorf("git push %s went through:\n%s", strings.Join(args, " "), out)
	}
	if !strings.Contains(out, want) {
		w.t.Errorf("git push %s was refused, but not with %q:\n%s", strings.Join(args, " "), want, out)
	}
	if n := w.up.Pushes() - before; n != 0 {
		w.t.Errorf("the refused push connected %d times to the upstream", n)
	}
	w.nothingLeft()
	return out
}

// nothingLeft makes sure that no push left an object behind.
func (w *world) nothingLeft() {
	w.t.Helper()
	left, err := filepath.Glob(filepath.Join(w.dir, "*"))
	if err != nil || len(left) > 0 {
		w.t.Errorf("left behind: %q, %v", left, err)
	}
}

// own is a branch that the bottle may push.
const own = "HEAD:refs/heads/bottle/dev-abc12/work"

// token is what looks like a secret, made here so that none stands in the sources.
func token() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	text := "gh" + "p_"
	for i := range 36 {
		text += string(letters[(i*i*7+i*13+5)%len(letters)])
	}
	return text
}
