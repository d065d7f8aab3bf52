package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// plugin puts one of the examples where a user's plugin lies, and writes a bottle that uses it.
func (w *world) plugin(name, settings string, hosts ...string) {
	w.t.Helper()
	from := filepath.Join("..", "..", "examples", "providers", name)
	entries, err := os.ReadDir(from)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			w.t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			w.t.Fatal(err)
		}
		w.file(filepath.Join(w.home, "providers", name, e.Name()), string(raw), info.Mode().Perm()&^0o022)
	}
	w.bottle("workspace: copy\nagent_provider: {template: "+name+settings+"}\n", hosts...)
	if r := w.run("provider", "check", name); r.code != 0 || strings.Contains(r.out, "✗") {
		w.t.Errorf("provider check: exit %d\n%s%s", r.code, r.out, r.err)
	}
}

// onBoth runs one example on each backend. In a container it is built from its own Dockerfile, on the tests' image.
func onBoth(t *testing.T, run func(*testing.T, func(*testing.T, *world))) {
	t.Run("native", func(t *testing.T) { run(t, func(t *testing.T, _ *world) { needNative(t) }) })
	t.Run("docker", func(t *testing.T) {
		run(t, func(t *testing.T, w *world) {
			needDocker(t, w)
			w.env["BOT_BOTTLE_BASE_IMAGE"] = enginetest.Image
		})
	})
}

func TestTheExampleOfAShell(t *testing.T) {
	onBoth(t, func(t *testing.T, hold func(*testing.T, *world)) {
		w := newWorld(t, standin.Config{})
		hold(t, w)
		w.plugin("shell", "")
		w.file(filepath.Join(w.project, "README.md"), "the project\n", 0o644)
		r := w.headless("id -un; cat README.md; curl -sS -m 10 https://denied.example.org/ || echo refused; exit 5")
		if r.code != 5 || !strings.Contains(r.out, "node\nthe project\n") || !strings.Contains(r.out, "refused") {
			t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
		}
	})
}

func TestTheExampleOfAnAgentInPython(t *testing.T) {
	onBoth(t, func(t *testing.T, hold func(*testing.T, *world)) {
		model := standin.NewOpenAI(
			standin.Bash("cat README.md; env; echo made-by-the-agent > result.txt"), standin.Say("I am done."), standin.Say("I went on."))
		w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{"api.openai.com": model}})
		hold(t, w)
		key := "sk-" + strings.Repeat("Pq5", 20)
		w.env["MY_KEY"] = key
		w.plugin("python", ", auth_token: MY_KEY", "api.openai.com")
		w.pluginWorks(t, "Authorization", "Bearer "+key, model.Results)
	})
}

func TestTheExampleOfOpencode(t *testing.T) { opencodeWorks(t, inNative) }

func opencodeWorks(t *testing.T, hold holder) {
	model := standin.NewAnthropic(
		standin.Use("bash", map[string]any{"command": "cat README.md; env; echo made-by-the-agent > result.txt", "description": "Run a command"}),
		standin.Say("I am done."), standin.Say("I went on."))
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{"api.anthropic.com": model}})
	hold(t, w, "opencode")
	key := "sk-ant-" + "api03-" + strings.Repeat("Pq5", 20)
	w.env["MY_KEY"] = key
	w.plugin("opencode", ", auth_token: MY_KEY", "api.anthropic.com")
	w.pluginWorks(t, "X-Api-Key", key, model.Results)
}

// pluginWorks runs a session with one tool, and resumes it.
func (w *world) pluginWorks(t *testing.T, header, value string, results func() []standin.ToolResult) {
	t.Helper()
	w.file(filepath.Join(w.project, "README.md"), "the project\n", 0o644)
	r := w.headless("do the thing")
	if r.code != 0 || !strings.Contains(r.out, "I am done.") {
		t.Fatalf("exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	id := r.kept(t)
	if got := results(); len(got) != 1 || !strings.Contains(got[0].Content, "the project") || strings.Contains(got[0].Content, value) || strings.Contains(got[0].Content, provider.Placeholder) {
		t.Errorf("tool results: %+v", got)
	}
	for _, q := range w.upstream.Requests() {
		if q.Header.Get(header) != value || q.Contains(provider.Placeholder) {
			t.Errorf("%s %s came with another credential", q.Method, q.URI)
		}
	}
	written, err := os.ReadFile(filepath.Join(w.home, "state", id, "home", "workspace", "result.txt"))
	if err != nil || string(written) != "made-by-the-agent\n" {
		t.Errorf("in the copy: %q, %v", written, err)
	}
	r = w.run("resume", id, "--yes", "--headless", "--prompt", "go on now")
	if r.code != 0 || !strings.Contains(r.out, "I went on.") {
		t.Fatalf("resume: exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	all := w.upstream.Requests()
	if last := string(all[len(all)-1].Body); !strings.Contains(last, "go on now") || !strings.Contains(last, "do the thing") {
		t.Error("the resumed session does not hold the first one")
	}
	if r := w.run("cleanup", id, "--yes"); r.code != 0 {
		t.Errorf("cleanup: %d %s", r.code, r.err)
	}
}

// TestAPluginReplacesABuiltIn has one named as a built-in provider.
func TestAPluginReplacesABuiltIn(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.file(filepath.Join(w.home, "providers", "claude", "provider"), "#!/bin/sh\necho '{\"version\":1,\"program\":{\"command\":\"echo\"},\"args\":[\"instead of claude:\",\"{task}\"]}'\n", 0o755)
	w.bottle("", "x.example.org")
	if r := w.headless("hello"); r.code != 0 || r.out != "instead of claude: hello\n" {
		t.Errorf("exit %d %q %s", r.code, r.out, r.err)
	}
}
