package planner_test

import (
	"crypto/ed25519"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/planner"
)

// privateKey is the same at every call, so that its public half can stand in a golden file.
func privateKey(t *testing.T) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// gitSettings are what a bottle's git is told, in a file.
func gitSettings(t *testing.T, w *world) string {
	t.Helper()
	p, err := planner.Make(w.host(t), request())
	if err != nil || len(p.Problems) > 0 {
		t.Fatal(err, p)
	}
	i := slices.IndexFunc(p.Plan.Files, func(f plan.File) bool { return f.Path == plan.Home+"/.bot-bottle/gitconfig" && f.Again })
	if i < 0 {
		t.Fatal("no settings for git")
	}
	file := filepath.Join(w.dir, "gitconfig")
	w.write(t, file, p.Plan.Files[i].Content)
	return file
}

// TestEverySpellingOfARemoteLeadsToTheGate asks the real git where it would go.
func TestEverySpellingOfARemoteLeadsToTheGate(t *testing.T) {
	const hostPort = "git.example.org"
	for declared, written := range map[string][]string{
		"ssh://git@git.example.org/team/app.git": {
			"ssh://git@git.example.org/team/app.git", "ssh://git.example.org/team/app.git", "ssh://git@git.example.org:22/team/app",
			"ssh://git.example.org:22/team/app.git/", "git+ssh://git@git.example.org/team/app", "ssh+git://git@git.example.org/team/app",
			"git@git.example.org:team/app.git", "git.example.org:team/app.git", "git@git.example.org:/team/app", "git@git.example.org:team/app/",
			"https://git.example.org/team/app.git", "https://git.example.org/team/app", "https://git.example.org/team/app/",
			"http://git.example.org/team/app.git", "git://git.example.org/team/app.git",
		},
		"ssh://git@git.example.org:2222/team/app": {
			"ssh://git@git.example.org:2222/team/app.git", "ssh://git.example.org:2222/team/app/", "git@git.example.org:team/app.git",
		},
		"deploy@git.example.org:team/app.git": {
			"deploy@git.example.org:team/app", "git.example.org:team/app.git", "ssh://deploy@git.example.org/team/app.git", "ssh://deploy@git.example.org:22/team/app",
			"https://git.example.org/team/app.git",
		},
		"git.example.org:team/app": {"git@git.example.org:team/app.git", "git.example.org:team/app/", "https://git.example.org/team/app"},
		"https://git.example.org/team/app": {
			"https://git.example.org/team/app.git", "https://git.example.org:443/team/app", "git@git.example.org:team/app.git", "ssh://git@git.example.org/team/app",
		},
		"https://git.example.org:8443/team/app.git": {"https://git.example.org:8443/team/app", "https://git.example.org:8443/team/app.git/"},
		"ssh://git@[2001:db8::1]/team/app":          {"ssh://git@[2001:db8::1]/team/app.git", "ssh://git@[2001:db8::1]:22/team/app", "git@[2001:db8::1]:team/app"},
	} {
		key := "{provider: static, path: ~/.ssh/bot}"
		if strings.HasPrefix(declared, "https://") {
			key = "{provider: token, token_ref: FORGE}"
		}
		w := newWorld(t, "---\ngit-gate: {repos: {app: {url: '"+declared+"', key: "+key+"}}}\n---\n", "---\nbottle: work\n---\n")
		w.env["FORGE"] = "t"
		file := gitSettings(t, w)
		for _, url := range append(written, declared) {
			cmd := exec.CommandContext(t.Context(), "git", "ls-remote", "--get-url", url)
			cmd.Dir, cmd.Env = w.dir, []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + file}
			out, err := cmd.Output()
			got := strings.TrimSpace(string(out))
			rest, ok := strings.CutPrefix(got, "http://"+plan.GateHost+"/app/")
			if err != nil || !ok || !slices.Contains([]string{"", "/", ".git", ".git/"}, rest) {
				t.Errorf("declared as %s, git goes for %s to %s: %v", declared, url, got, err)
			}
		}
		for _, other := range []string{"https://" + hostPort + "/team/other", "git@" + hostPort + ":other/app.git", "ssh://git@other.example/team/app.git"} {
			cmd := exec.CommandContext(t.Context(), "git", "ls-remote", "--get-url", other)
			cmd.Dir, cmd.Env = w.dir, []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + file}
			if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != other {
				t.Errorf("declared as %s, git goes for %s to %s: %v", declared, other, out, err)
			}
		}
	}
}

func TestWhatIsNotSigned(t *testing.T) {
	for name, tc := range map[string]struct{ bottle, key, want string }{
		"without a name":       {"git-gate: {user: {email: a@b.example}, sign: {key: ~/.ssh/bot}}", "", "without a name and an address"},
		"without an address":   {"git-gate: {user: {name: A}, sign: {key: ~/.ssh/bot}}", "", "without a name and an address"},
		"with a key not there": {"git-gate: {user: {name: A, email: a@b.example}, sign: {key: ~/.ssh/none}}", "", "there is no file"},
		"with no key":          {"git-gate: {user: {name: A, email: a@b.example}, sign: {key: ~/.ssh/bot}}", "nothing\n", "no private key that can be used"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "---\n"+tc.bottle+"\n---\n", "---\nbottle: work\n---\n")
			if tc.key != "" {
				w.write(t, filepath.Join(w.user, ".ssh", "bot"), tc.key)
			}
			p, err := planner.Make(w.host(t), request())
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Error(), tc.want) {
				t.Errorf("%v", p.Problems)
			}
		})
	}
}
