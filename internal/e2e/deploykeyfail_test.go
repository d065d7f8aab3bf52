package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// TestAResumeThatFailsForgetsNoKey resumes a run with two keys that could not be revoked, where the
// first of them cannot be made anew.
func TestAResumeThatFailsForgetsNoKey(t *testing.T) {
	needNative(t)
	up := gatetest.New(t)
	up.Repository("app")
	up.Repository("lib")
	w := newWorld(t, standin.Config{})
	f := newForge(t, w, up)
	api := "https" + strings.Split(strings.Split(readAll(t, w), "api_url: https")[1], "}")[0]
	w.env["LIB_TOKEN"] = f.token
	w.bottle(fmt.Sprintf(`supervise: false
git-gate:
  user: {name: Bot, email: bot@example.org}
  repos:
    app:
      url: %[1]s
      key: {provider: gitea, token_ref: FORGE_TOKEN, api_url: %[4]s}
      host_key: "%[3]s"
    lib:
      url: %[2]s
      key: {provider: gitea, token_ref: LIB_TOKEN, api_url: %[4]s}
      host_key: "%[3]s"
`, up.URL("app"), up.URL("lib"), up.HostKey, api), claude.Host)
	w.agent("exit 5\n")
	f.change(func() { f.keeps = true })
	r := w.headless("work")
	if f.count() != 2 {
		t.Fatalf("the start: exit %d, %d keys\n%s\n%s", r.code, f.count(), r.out, r.err)
	}
	id := w.only().Identity
	show := func(when string) {
		b, err := os.ReadFile(filepath.Join(w.home, "deploy-keys", id+".json"))
		t.Logf("%s: %d keys at the forge, noted: %s %v", when, f.count(), b, err)
	}
	show("after the start")
	w.env["FORGE_TOKEN"] = "expired"
	r = w.run("resume", id, "--yes", "--headless", "--prompt", "x")
	t.Logf("resume: exit %d\n%s", r.code, r.err)
	show("after the failed resume")
	w.env["FORGE_TOKEN"] = f.token
	f.change(func() { f.keeps = false })
	r = w.run("cleanup", "--yes")
	t.Logf("cleanup: exit %d\n%s", r.code, r.err)
	show("after cleanup")
	if n := f.count(); n != 0 {
		t.Errorf("%d keys are left at the forge, and nothing knows of them", n)
	}
}

func readAll(t *testing.T, w *world) string {
	var all string
	files, _ := filepath.Glob(filepath.Join(w.home, "bottles", "*.md"))
	for _, p := range files {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	return all
}
