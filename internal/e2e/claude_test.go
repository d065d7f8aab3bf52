package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// TestClaudeWorksInABottle runs the real program against a stand-in of its API.
func TestClaudeWorksInABottle(t *testing.T) {
	model := claudeModel()
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: model}})
	inNative(t, w, "claude")
	w.bottle("workspace: copy\n", claude.Host)
	claudeWorks(t, w, model)
}

// claudeModel asks for what a bottle must allow and must not.
func claudeModel() *standin.Anthropic {
	return standin.NewAnthropic(
		standin.Bash("env; cat ~/.claude.json ~/.claude/settings.json ~/.bot-bottle-prompt.txt"),
		standin.Bash("for p in /proc/[0-9]*; do cat $p/environ $p/cmdline $p/maps 2>/dev/null | tr '\\0' '\\n'; done; grep -rs 'sk-ant-' /home/node /tmp /run; "+sweep),
		standin.Bash("curl -sS -m 10 https://denied.example.org/ 2>&1; echo; curl -sS -m 10 --noproxy '*' https://denied.example.org/ 2>&1; curl -sS -m 10 --noproxy '*' -k https://203.0.113.9/ 2>&1; true"),
		standin.Bash("pwd; ls; echo made-by-the-agent > result.txt"),
		standin.Say("I am done."),
		standin.Say("I went on."),
	)
}

// claudeWorks starts, resumes and cleans up, whatever holds the bottle.
func claudeWorks(t *testing.T, w *world, model *standin.Anthropic) {
	t.Helper()
	w.file(filepath.Join(w.project, "README.md"), "the project\n", 0o644)

	r := w.headless("do the thing")
	if r.code != 0 || !strings.Contains(r.out, "I am done.") {
		t.Fatalf("exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	id := r.kept(t)
	checkClaudeTools(t, w, model)
	checkClaudeUpstream(t, w)
	w.swept(t, id, []string{"Say what you see."}, []string{"CLAUDE_CODE_OAUTH_TOKEN=" + claude.Placeholder}, []string{w.token()})

	written, err := os.ReadFile(filepath.Join(w.home, "state", id, "home", "workspace", "result.txt"))
	if err != nil || string(written) != "made-by-the-agent\n" {
		t.Errorf("in the copy: %q, %v", written, err)
	}
	if _, err := os.Stat(filepath.Join(w.project, "result.txt")); !os.IsNotExist(err) {
		t.Errorf("the agent wrote into the host's directory: %v", err)
	}
	if transcripts, _ := filepath.Glob(filepath.Join(w.home, "state", id, "transcript", "*", "*.jsonl")); len(transcripts) == 0 {
		t.Error("no transcript was kept")
	}

	r = w.run("resume", id, "--yes", "--headless", "--prompt", "go on now")
	if r.code != 0 || !strings.Contains(r.out, "I went on.") {
		t.Fatalf("resume: exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	last := w.upstream.Requests()
	if body := string(last[len(last)-1].Body); !strings.Contains(body, "go on now") || !strings.Contains(body, "do the thing") {
		t.Error("the resumed session does not hold the first one")
	}
	// A use that the program itself refuses ends with its own code.
	if r := w.headless("x", "--", "--no-such-flag"); r.code != 1 || !strings.Contains(r.err+r.out, "--no-such-flag") {
		t.Errorf("the program's exit code is %d\n%s\n%s", r.code, r.out, r.err)
	}
	w.clean("--preserved")
	w.stateIs()
}

func checkClaudeTools(t *testing.T, w *world, model *standin.Anthropic) {
	t.Helper()
	results := model.Results()
	if len(results) != 4 {
		t.Fatalf("%d tool results: %+v", len(results), results)
	}
	// The harness hides its credential from its tools; /proc has it as the harness got it. On its
	// way to the model the placeholder is redacted, for it belongs nowhere but in its header.
	if !strings.Contains(results[1].Content, "CLAUDE_CODE_OAUTH_TOKEN=") || strings.Contains(results[1].Content, claude.Placeholder) {
		t.Errorf("the placeholder was not in the agent's environment, or left it:\n%s", results[1].Content)
	}
	if !strings.Contains(results[0].Content, "Say what you see.") {
		t.Error("the prompt file is not there")
	}
	for i, r := range results {
		if strings.Contains(r.Content, w.token()) {
			t.Errorf("tool %d saw the real token", i)
		}
	}
	denied := results[2].Content
	if !strings.Contains(denied, "Could not resolve host") && !strings.Contains(denied, "403") {
		t.Errorf("the denied host was not refused by name:\n%s", denied)
	}
	if !strings.Contains(denied, `"rule_missing"`) {
		t.Errorf("no structured refusal for the address:\n%s", denied)
	}
	if !strings.Contains(results[3].Content, "/home/node/workspace") || !strings.Contains(results[3].Content, "README.md") {
		t.Errorf("the workspace is not where the agent starts:\n%s", results[3].Content)
	}
}

func checkClaudeUpstream(t *testing.T, w *world) {
	t.Helper()
	messages := 0
	for _, r := range w.upstream.Requests() {
		if r.Host != claude.Host {
			t.Errorf("the upstream was asked for %q", r.Host)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer "+w.token() {
			t.Errorf("%s %s came with another credential", r.Method, r.URI)
		}
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), claude.Placeholder) {
				t.Errorf("%s %s carries the placeholder in %s", r.Method, r.URI, name)
			}
		}
		if strings.HasPrefix(r.URI, "/v1/messages") {
			messages++
		}
	}
	if messages < 5 {
		t.Errorf("%d messages", messages)
	}
}

func TestTheAgentsExitCodePassesThrough(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.bottle("", claude.Host)
	w.agent("exit 7\n")
	if r := w.headless("x"); r.code != 7 {
		t.Errorf("exit %d: %s", r.code, r.err)
	} else {
		r.kept(t)
	}
	w.agent("exit 0\n")
	if r := w.headless("x"); r.code != 0 || r.err != "" {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	entries, err := os.ReadDir(filepath.Join(w.home, "state"))
	if err != nil || len(entries) != 1 {
		t.Errorf("a clean end left %v, %v", entries, err)
	}
}
