package gate_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
)

// TestSubmodulesOfDeclaredRepositories clones one repository within another, by a relative URL and
// by a whole one, and pushes to both.
func TestSubmodulesOfDeclaredRepositories(t *testing.T) {
	w := open(t, func(c *gitgate.Config, d *gitgate.Deps) {
		app := c.Repos[0]
		lib := app
		lib.Name, lib.URL, lib.Mirror = "lib", strings.Replace(app.URL, "/app.git", "/lib.git", 1), t.TempDir()
		c.Repos = append(c.Repos, lib)
		d.Keys["lib"] = d.Keys["app"]
	})
	w.up.Repository("lib")
	settings := filepath.Join(t.TempDir(), "gitconfig")
	var text strings.Builder
	for _, name := range []string{"app", "lib"} {
		text.WriteString("[url \"" + w.url + "/" + name + "/\"]\n\tinsteadOf = " + strings.TrimSuffix(w.up.URL(name), ".git") + "\n")
	}
	w.write(settings, text.String(), 0o600)
	git := func(dir string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir, cmd.Env = dir, append(gatetest.Env(), "GIT_CONFIG_GLOBAL="+settings)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for name, url := range map[string]string{"by a relative URL": "../lib.git", "by its whole URL": w.up.URL("lib")} {
		t.Run(name, func(t *testing.T) {
			other := t.TempDir()
			gatetest.Git(t, "", "clone", "-q", w.up.Bare("app"), other)
			gatetest.Git(t, other, "rm", "-q", "--ignore-unmatch", "-r", "lib", ".gitmodules")
			w.write(filepath.Join(other, ".gitmodules"), "[submodule \"lib\"]\n\tpath = lib\n\turl = "+url+"\n", 0o600)
			gatetest.Git(t, other, "add", ".gitmodules")
			gatetest.Git(t, other, "update-index", "--add", "--cacheinfo", "160000,"+gatetest.Git(t, w.up.Bare("lib"), "rev-parse", "main")+",lib")
			gatetest.Git(t, other, "commit", "-q", "--allow-empty", "-m", "with lib")
			gatetest.Git(t, other, "push", "-q", "origin", "main")

			dir := filepath.Join(t.TempDir(), "work")
			if out, err := git("", "clone", "-q", "--recurse-submodules", w.repo.URL, dir); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if text, err := os.ReadFile(filepath.Join(dir, "lib", "README")); err != nil || string(text) != "hello\n" {
				t.Fatalf("the submodule has %q, %v", text, err)
			}
			before := w.up.Pushes()
			w.commit(filepath.Join(dir, "lib"), "token", "key = "+token()+"\n", "in the submodule")
			if out, err := git(filepath.Join(dir, "lib"), "push", "-q", "origin", own); err == nil || !strings.Contains(out, "looks like a secret") || w.up.Pushes() != before {
				t.Errorf("a secret in the submodule: %v\n%s", err, out)
			}
			gatetest.Git(t, filepath.Join(dir, "lib"), "reset", "-q", "--hard", "HEAD~1")
			w.commit(filepath.Join(dir, "lib"), "new", name, "in the submodule")
			gatetest.Git(t, dir, "commit", "-q", "-am", "the submodule's work")
			branch := "HEAD:refs/heads/bottle/dev-abc12/" + strings.ReplaceAll(name, " ", "-")
			for _, at := range []string{filepath.Join(dir, "lib"), dir} {
				if out, err := git(at, "push", "-q", "origin", branch); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			}
		})
	}
	if out, err := git("", "ls-remote", w.url+"/other/"); err == nil || !strings.Contains(out, "declared are app for") {
		t.Errorf("of a repository that is not declared: %v\n%s", err, out)
	}
}
