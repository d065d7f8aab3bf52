package planner_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/planner"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/provider/harness"
)

var update = flag.Bool("update", false, "write the golden files")

// world is a host with one bottle and one agent.
type world struct {
	dir, home, user, cwd string
	env                  map[string]string
}

func newWorld(t *testing.T, bottle, agent string) *world {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, home: filepath.Join(dir, "user", ".bot-bottle"), user: filepath.Join(dir, "user"), cwd: filepath.Join(dir, "project"),
		env: map[string]string{claude.DefaultToken: "t-" + strings.Repeat("x", 20)}}
	w.write(t, filepath.Join(w.home, "bottles", "work.md"), bottle)
	w.write(t, filepath.Join(w.home, "agents", "api.md"), agent)
	w.write(t, filepath.Join(w.cwd, "main.go"), "package main\n")
	w.write(t, filepath.Join(w.user, ".ssh", "bot"), privateKey(t))
	return w
}

func (w *world) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) host(t *testing.T) planner.Host {
	t.Helper()
	lib, err := manifest.Open(manifest.Options{Home: w.home, Cwd: w.cwd, Templates: []string{"claude", "codex"}})
	if err != nil {
		t.Fatal(err)
	}
	return planner.Host{
		Library: lib, Providers: []provider.Provider{claude.Provider{}}, UserHome: w.user, Home: w.home, Cwd: w.cwd, Git: "/usr/bin/git", Gate: true, Terminal: true,
		Getenv: func(k string) (string, bool) { v, ok := w.env[k]; return v, ok },
		Find: func(provider.Binary) (harness.Program, error) {
			return harness.Program{HostPath: "/opt/claude", Args: []string{"/bottle/bin/claude"},
				Mounts: []plan.Mount{{HostPath: "/opt/claude", Path: "/bottle/bin/claude"}}}, nil
		},
		HasSession: func(string) bool { return true },
	}
}

func request() planner.Request {
	return planner.Request{
		ID: "api-abcde", Agent: "api", Backend: plan.Backend{Name: "native", Reason: "--backend", Isolation: "namespaces"},
		Paths: plan.Paths{State: "/s", Home: "/s/home", Run: "/s/run", Audit: "/s/audit.jsonl", Proposals: "/s/supervise/proposals.jsonl"},
	}
}

const agentText = "---\nbottle: work\nskills: [review]\ngit-gate: {user: {name: Agent}}\n---\n\nDo the work.\n"

const bottleText = `---
workspace: copy
env:
  LOG_LEVEL: debug
  NPM_TOKEN: ${NPM_TOKEN}
  DB_PASSWORD: "?Database password"
git-gate:
  user: {name: Bot, email: bot@example.org}
  sign: {key: ~/.ssh/bot}
  trailer: "Assisted-by: bot-bottle"
  repos:
    app:
      url: ssh://git@git.example.org/team/app.git
      key: {provider: static, path: ~/.ssh/bot}
      host_key: "git.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"
      push: {refs: [main, refs/tags/v*], force: true, delete: true, max_bytes: 1048576}
egress:
  log: full
  routes:
    - host: static.example.org
    - host: api.github.com
      matches:
        - paths: [{type: prefix, value: /repos/acme/}]
          methods: [GET, POST]
      auth: {scheme: Bearer, token_ref: GH_TOKEN}
      allow_private: [10.1.0.0/16]
    - host: api.anthropic.com
      connect_to: 127.0.0.1:8443
      git: fetch
---
`

func TestPlanAndPreflightAreAsRecorded(t *testing.T) {
	w := newWorld(t, bottleText, agentText)
	w.env["NPM_TOKEN"], w.env["GH_TOKEN"] = "value-of-npm-token", "value-of-gh-token"
	w.write(t, filepath.Join(w.user, ".claude", "skills", "review", "SKILL.md"), "# review\n")
	p, err := planner.Make(w.host(t), request())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Problems) > 0 {
		t.Fatal(p.Problems)
	}
	var text bytes.Buffer
	if err := planner.Preflight(&text, p.Plan); err != nil {
		t.Fatal(err)
	}
	enc, err := json.MarshalIndent(p.Plan, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"plan.json": string(enc) + "\n", "preflight.txt": text.String()} {
		golden(t, name, strings.ReplaceAll(got, w.dir, "/world"))
		for _, secret := range []string{"value-of", w.env[claude.DefaultToken]} {
			if strings.Contains(got, secret) {
				t.Errorf("%s holds a value", name)
			}
		}
	}
	if d := cmp.Diff([]string{claude.DefaultToken, "GH_TOKEN"}, p.Tokens); d != "" {
		t.Error(d)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", name, d)
	}
}

func TestEveryProblemIsToldAtOnce(t *testing.T) {
	w := newWorld(t, bottleText, agentText)
	delete(w.env, claude.DefaultToken)
	h := w.host(t)
	h.Terminal = false
	p, err := planner.Make(h, request())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range p.Problems {
		all = append(all, e.Error())
		if fault.HintOf(e) == "" {
			t.Errorf("no hint for %v", e)
		}
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		"host variable NPM_TOKEN is not set", "there is no terminal", `skill "review" does not exist`,
		"token for api.github.com is missing", "token for api.anthropic.com is missing",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q in:\n%s", want, text)
		}
	}
}

func TestWhatIsNotEnforcedIsRefused(t *testing.T) {
	for name, tc := range map[string]struct{ bottle, want string }{
		"asking":     {"supervise: false\negress: {on_deny: ask}\n", "on_deny is ask"},
		"dockerfile": {"agent_provider: {template: claude, dockerfile: ./Dockerfile}\n", "dockerfile"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "---\n"+tc.bottle+"---\n", "---\nbottle: work\n---\n")
			p, err := planner.Make(w.host(t), request())
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Error(), tc.want) || !fault.Is(p.Problems[0], fault.Unsupported) {
				t.Errorf("got %v", p.Problems)
			}
		})
	}
}

func TestADirectoryThatHoldsTheHomeIsNeverBroughtIn(t *testing.T) {
	for _, explicit := range []bool{false, true} {
		w := newWorld(t, "---\nworkspace: copy\n---\n", "---\nbottle: work\n---\n")
		for _, cwd := range []string{w.user, w.dir, "/"} {
			h := w.host(t)
			h.Cwd = cwd
			r := request()
			r.CopyCwd = explicit
			p, err := planner.Make(h, r)
			if err != nil {
				t.Fatal(err)
			}
			if p.Plan.Workspace.HostPath != "" {
				t.Errorf("%s is brought in", cwd)
			}
			if got := len(p.Problems) == 1; got != explicit {
				t.Errorf("explicit %v: problems %v", explicit, p.Problems)
			}
		}
	}
}

func TestTheProviderOwnsItsHost(t *testing.T) {
	w := newWorld(t, `---
egress:
  routes:
    - host: api.anthropic.com
      auth: {scheme: Bearer, token_ref: OTHER}
      matches: [{methods: [GET]}]
      ports: [8443]
---
`, "---\nbottle: work\n---\n")
	p, err := planner.Make(w.host(t), request())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Plan.Egress.Routes) != 1 {
		t.Fatalf("routes %+v", p.Plan.Egress.Routes)
	}
	r := p.Plan.Egress.Routes[0]
	if r.Auth.TokenRef != claude.DefaultToken || len(r.Matches) != 0 || r.Owner != "claude" || r.Ports[0] != 8443 {
		t.Errorf("route %+v", r)
	}
	if !strings.Contains(strings.Join(p.Plan.Notes, "\n"), "auth, matches dropped") {
		t.Errorf("notes %q", p.Plan.Notes)
	}
}

func TestAnUpstreamCAComesFromTheOperatorsFolder(t *testing.T) {
	w := newWorld(t, "---\negress: {routes: [{host: a.example.org, upstream_ca: corp.pem}]}\n---\n", "---\nbottle: work\n---\n")
	w.write(t, filepath.Join(w.cwd, "corp.pem"), "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
	_, err := planner.Make(w.host(t), request())
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), filepath.Join(w.home, "bottles", "corp.pem")) {
		t.Errorf("got %v", err)
	}
	w.write(t, filepath.Join(w.home, "bottles", "corp.pem"), "no certificate\n")
	if _, err := planner.Make(w.host(t), request()); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Errorf("got %v", err)
	}
}

func TestAResumeGoesOnAndBringsNothing(t *testing.T) {
	w := newWorld(t, "---\nworkspace: copy\n---\n", "---\nbottle: work\n---\n")
	r := request()
	r.Resume = true
	p, err := planner.Make(w.host(t), r)
	if err != nil {
		t.Fatal(err)
	}
	if p.Plan.Workspace.HostPath != "" || p.Plan.Command.Dir != plan.Workspace {
		t.Errorf("workspace %+v, dir %q", p.Plan.Workspace, p.Plan.Command.Dir)
	}
	if !strings.Contains(strings.Join(p.Plan.Command.Args, " "), "--continue") {
		t.Errorf("args %q", p.Plan.Command.Args)
	}
	h := w.host(t)
	h.HasSession = func(string) bool { return false }
	p, err = planner.Make(h, r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(p.Plan.Command.Args, " "), "--continue") {
		t.Errorf("a bottle without a session goes on with one: %q", p.Plan.Command.Args)
	}
}

func TestGitReadsTheIdentityAsItWasWritten(t *testing.T) {
	const name = `O"Neil \ [core] # ; x`
	w := newWorld(t, "---\ngit-gate: {user: {name: 'O\"Neil \\ [core] # ; x', email: a@b.example}}\n---\n", "---\nbottle: work\n---\n")
	file := gitSettings(t, w)
	out, err := exec.CommandContext(t.Context(), "git", "config", "-f", file, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "user.name=" + name + "\nuser.email=a@b.example\n"; string(out) != want {
		t.Errorf("git reads %q, want %q", out, want)
	}
}

func TestASkillIsAFolderOfAReasonableSizeWithASkillFile(t *testing.T) {
	for name, tc := range map[string]struct {
		fill func(w *world, dir string)
		want string
	}{
		"no file": {func(w *world, dir string) { w.write(t, filepath.Join(dir, "notes.md"), "x") }, "has no SKILL.md"},
		"too large": {func(w *world, dir string) {
			w.write(t, filepath.Join(dir, "SKILL.md"), "x")
			w.write(t, filepath.Join(dir, "big"), strings.Repeat("x", 33<<20))
		}, "more than 32 MB"},
		"too many": {func(w *world, dir string) {
			w.write(t, filepath.Join(dir, "SKILL.md"), "x")
			for i := range 4100 {
				w.write(t, filepath.Join(dir, strconv.Itoa(i)), "")
			}
		}, "more than 4096 files"},
		"a directory of its name": {func(w *world, dir string) { w.write(t, filepath.Join(dir, "SKILL.md", "x"), "x") }, "has no SKILL.md"},
		"no folder":               {func(w *world, dir string) { w.write(t, dir, "x") }, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "---\n---\n", "---\nbottle: work\nskills: [review]\n---\n")
			tc.fill(w, filepath.Join(w.user, ".claude", "skills", "review"))
			p, err := planner.Make(w.host(t), request())
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Error(), tc.want) || len(p.Plan.Skills) != 0 {
				t.Errorf("%v %v", p.Problems, p.Plan.Skills)
			}
		})
	}
}

// TestALoginAndASkillAreNamedByNobodyElse has manifests that would send the host's login to another
// host, and bring in what is no skill.
func TestALoginAndASkillAreNamedByNobodyElse(t *testing.T) {
	for _, bottle := range []string{
		"egress: {routes: [{host: evil.example.org, auth: {scheme: Bearer, token_ref: 'login:claude'}}]}",
		"agent_provider: {template: claude, auth_token: 'login:codex'}",
	} {
		w := newWorld(t, "---\n"+bottle+"\n---\n", "---\nbottle: work\n---\n")
		if _, err := planner.Make(w.host(t), request()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bottle, err)
		}
	}
	for _, name := range []string{"../../.ssh", "/etc", ".", "a/b"} {
		w := newWorld(t, "---\n---\n", "---\nbottle: work\nskills: ['"+name+"']\n---\n")
		w.write(t, filepath.Join(w.user, ".ssh", "SKILL.md"), "x")
		if _, err := planner.Make(w.host(t), request()); !fault.Is(err, fault.Invalid) {
			t.Errorf("skill %s: %v", name, err)
		}
	}
}

func TestAResumesPreflightNamesWhatWasApproved(t *testing.T) {
	w := newWorld(t, bottleText, agentText)
	r := request()
	r.Resume, r.Carried = true, []string{"new.example (api-abcde/1)"}
	p, err := planner.Make(w.host(t), r)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := planner.Preflight(&text, p.Plan); err != nil || !strings.Contains(text.String(), "approved in this run, and in force again: new.example (api-abcde/1)") {
		t.Errorf("%v: %s", err, text.String())
	}
}
