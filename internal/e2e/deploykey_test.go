package e2e_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// forge is a stand-in of a forge's API whose deploy keys open a real server.
type forge struct {
	up    *gatetest.Upstream
	token string

	mu     sync.Mutex
	next   int
	keys   map[int]map[string]any
	broken bool
	keeps  bool // refuses to take keys off
}

func newForge(t *testing.T, w *world, up *gatetest.Upstream) *forge {
	t.Helper()
	f := &forge{up: up, token: "tok-" + "of-the-forge", keys: map[int]map[string]any{}}
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	w.file(filepath.Join(w.dir, "forge.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), 0o600)
	w.env["SSL_CERT_FILE"], w.env["FORGE_TOKEN"] = filepath.Join(w.dir, "forge.pem"), f.token
	up.Authorize()
	w.bottle(fmt.Sprintf(`supervise: false
git-gate:
  user: {name: Bot, email: bot@example.org}
  repos:
    app:
      url: %s
      key: {provider: gitea, token_ref: FORGE_TOKEN, api_url: %s/api/v1}
      host_key: "%s"
      push: {refs: [main]}
`, up.URL("app"), server.URL, up.HostKey), claude.Host)
	return f
}

func (f *forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var id int
	_, named := fmt.Sscanf(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], "%d", &id)
	switch {
	case f.broken || f.keeps && r.Method == http.MethodDelete || r.Header.Get("Authorization") != "token "+f.token:
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodPost:
		var key map[string]any
		if err := json.NewDecoder(r.Body).Decode(&key); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.next++
		key["id"], f.keys[f.next] = f.next, key
		f.authorize()
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(key)
	case r.Method == http.MethodDelete && named == nil:
		delete(f.keys, id)
		f.authorize()
		w.WriteHeader(http.StatusNoContent)
	default:
		all := []map[string]any{}
		for _, k := range f.keys {
			all = append(all, k)
		}
		_ = json.NewEncoder(w).Encode(all)
	}
}

func (f *forge) authorize() {
	var lines []string
	for _, k := range f.keys {
		lines = append(lines, k["key"].(string))
	}
	f.up.Authorize(lines...)
}

func (f *forge) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *forge) count() (n int) {
	f.change(func() { n = len(f.keys) })
	return n
}

// forgeWorld is one with a forge that has one repository.
func forgeWorld(t *testing.T) (*world, *gatetest.Upstream, *forge) {
	t.Helper()
	needNative(t)
	up := gatetest.New(t)
	up.Repository("app")
	w := newWorld(t, standin.Config{})
	return w, up, newForge(t, w, up)
}

const deployScript = `cd ~
git clone -q %[1]s app && cd app && echo one > one && git add one && git commit -qm one
git push -q origin HEAD:main; echo "pushed: $?"
`

func TestADeployKeyLivesAsLongAsItsRun(t *testing.T) {
	w, up, f := forgeWorld(t)
	w.agent(fmt.Sprintf(deployScript, up.URL("app")))
	r := w.headless("work")
	if r.code != 0 || !strings.Contains(r.out, "pushed: 0\n") || !strings.Contains(r.err, "revoked the deploy key") {
		t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	if n := f.count(); n != 0 {
		t.Errorf("%d keys are left at the forge", n)
	}
	if strings.Contains(r.out+r.err, f.token) {
		t.Error("the forge's token was shown")
	}
}

func TestADeployKeyThatExpiredOpensNothing(t *testing.T) {
	w, up, f := forgeWorld(t)
	w.agent("echo running; exec sleep 100000\n")
	b := w.begin()
	b.says("running\n")
	id := w.only().Identity
	f.change(func() { clear(f.keys); f.authorize() })
	r := w.run("exec", id, "--", "sh", "-c", "cd && git clone -q "+up.URL("app")+" app")
	if r.code != 128 || !strings.Contains(r.err, "git-gate") {
		t.Errorf("with a key that is gone: exit %d\n%s", r.code, r.err)
	}
	b.signal(syscall.SIGTERM)
	b.wait()
}

func TestADeployKeyOfAKilledRunIsFoundAndRevoked(t *testing.T) {
	w, _, f := forgeWorld(t)
	w.agent("echo running; exec sleep 100000\n")
	b := w.begin()
	b.says("running\n")
	b.signal(syscall.SIGKILL)
	b.wait()
	if n := f.count(); n != 1 {
		t.Fatalf("%d keys after the kill", n)
	}
	f.change(func() { f.broken = true })
	if r := w.run("cleanup", "--yes"); r.code == 0 || !strings.Contains(r.err, "is NOT revoked") {
		t.Errorf("while the forge refuses: exit %d\n%s", r.code, r.err)
	}
	f.change(func() { f.broken = false })
	if r := w.run("cleanup", "--yes"); r.code != 0 || !strings.Contains(r.err, "revoked the deploy key") {
		t.Errorf("cleanup: exit %d\n%s", r.code, r.err)
	}
	if n := f.count(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	if left, err := os.ReadDir(filepath.Join(w.home, "deploy-keys")); err != nil || len(left) != 0 {
		t.Errorf("notes are left: %v, %v", left, err)
	}
}

// TestAResumeHasItsRepositoriesAndForgetsNoKey resumes a run whose key could not be revoked, with
// its repository and after that has left the bottle.
func TestAResumeHasItsRepositoriesAndForgetsNoKey(t *testing.T) {
	w, up, f := forgeWorld(t)
	w.agent(`cd ~
[ -d app ] || git clone -q ` + up.URL("app") + ` app
cd app && git pull -q origin main && date +%N >> work && git add work && git commit -qm work && git push -q origin HEAD:main; echo "pushed: $?"
exit 5
`)
	f.change(func() { f.keeps = true })
	r := w.headless("work")
	if !strings.Contains(r.out, "pushed: 0\n") || !strings.Contains(r.err, "is NOT revoked") || f.count() != 1 {
		t.Fatalf("the start: exit %d, %d keys\n%s\n%s", r.code, f.count(), r.out, r.err)
	}
	id := w.only().Identity
	resume := func(keeps bool, want string, keys int) result {
		t.Helper()
		f.change(func() { f.keeps = keeps })
		r := w.run("resume", id, "--yes", "--headless", "--prompt", "x")
		if !strings.Contains(r.err, want) || f.count() != keys {
			t.Errorf("resumed: exit %d, %d keys, want %d and %q\n%s\n%s", r.code, f.count(), keys, want, r.out, r.err)
		}
		return r
	}
	if r := resume(false, "revoked the deploy key", 0); !strings.Contains(r.out, "pushed: 0\n") || r.code != 5 {
		t.Errorf("the resume: exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	if got := gatetest.Git(t, up.Bare("app"), "rev-list", "--count", "main"); got != "3" {
		t.Errorf("the upstream has %s commits", got)
	}
	resume(true, "is NOT revoked", 1)
	w.bottle("supervise: false\n", claude.Host)
	if r := resume(true, "will be tried again at the end", 1); !strings.Contains(r.err, "is NOT revoked") || strings.Contains(r.out, "pushed: 0") {
		t.Errorf("without the repository: exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	resume(false, "revoked the deploy key", 0)
	if left, err := os.ReadDir(filepath.Join(w.home, "deploy-keys")); err != nil || len(left) != 0 {
		t.Errorf("notes are left: %v, %v", left, err)
	}
}
