package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/codex"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// account is the one of the host's login.
const account = "account-of-the-host"

// jwt is a token as the issuer of ChatGPT's logins makes them.
func jwt(expires time.Time, mark string) string {
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	claims := map[string]any{
		"exp": expires.Unix(), "jti": mark, "email": "person@example.org",
		"https://api.openai.com/auth": map[string]string{"chatgpt_account_id": account, "chatgpt_plan_type": "pro", "chatgpt_user_id": "user-1"},
	}
	return part(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." + part(claims) + "." +
		base64.RawURLEncoding.EncodeToString([]byte("signature of "+mark+strings.Repeat("z8", 40)))
}

// codexLogin writes the host's login and returns the token in it.
func (w *world) codexLogin(expires time.Time, mark string) string {
	w.t.Helper()
	token := jwt(expires, mark)
	raw, err := json.Marshal(map[string]any{
		"auth_mode": "chatgpt", "OPENAI_API_KEY": nil, "last_refresh": time.Now().UTC(), "of_a_later_version": map[string]int{"kept": 1},
		"tokens": map[string]string{"id_token": token, "access_token": token, "refresh_token": "refresh-" + mark, "account_id": account},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	// In one step, as the harness itself does.
	file := filepath.Join(w.user, ".codex", "auth.json")
	w.file(file+".new", string(raw), 0o600)
	if err := os.Rename(file+".new", file); err != nil {
		w.t.Fatal(err)
	}
	return token
}

const codexLoginBottle = "workspace: copy\nagent_provider: {template: codex, forward_host_credentials: true}\n"

// TestCodexWorksInABottle runs the real program against a stand-in of its API, by WebSocket, and by
// HTTP where that is refused, with the host's login and with an API key.
func TestCodexWorksInABottle(t *testing.T) { codexWorks(t, inNative) }

// TestCodexWorksInAContainer is the same on the docker backend.
func TestCodexWorksInAContainer(t *testing.T) { codexWorks(t, inDocker) }

func codexWorks(t *testing.T, hold holder) {
	for name, tc := range map[string]struct {
		plain, key bool
	}{
		"a login, by WebSocket": {false, false},
		"a login, by HTTP":      {true, false},
		"an API key":            {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			model := codexModel()
			model.Plain = tc.plain
			w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{codex.ChatHost: model, codex.APIHost: model}})
			hold(t, w, "codex")
			run := codexRun{host: codex.ChatHost, model: model, plain: tc.plain}
			if tc.key {
				run.host, run.token = codex.APIHost, "sk-"+"proj-"+strings.Repeat("Kq7", 16)
				run.running = "OPENAI_API_KEY=" + provider.Placeholder
				w.env["MY_KEY"] = run.token
				w.bottle("workspace: copy\nagent_provider: {template: codex, auth_token: MY_KEY}\n", codex.APIHost)
			} else {
				run.token, run.running = w.codexLogin(time.Now().Add(time.Hour), "first"), "CODEX_CA_CERTIFICATE="
				w.bottle(codexLoginBottle, codex.ChatHost, codex.APIHost)
			}
			run.works(t, w)
		})
	}
}

// codexModel asks for what a bottle must allow and must not. What it reads of its own environment and
// login holds the placeholder, which is taken out of the conversation and does not end it.
func codexModel() *standin.OpenAI {
	return standin.NewOpenAI(
		standin.Bash("cat ~/.codex/config.toml ~/.bot-bottle-prompt.txt ~/.codex/auth.json; env"),
		standin.Bash(sweep),
		standin.Bash("curl -sS -m 10 https://denied.example.org/ 2>&1; echo; curl -sS -m 10 --noproxy '*' https://denied.example.org/ 2>&1; curl -sS -m 10 --noproxy '*' -k https://203.0.113.9/ 2>&1; "+
			"curl -sS -m 10 https://chatgpt.com/backend-api/conversations 2>&1; true"),
		standin.Bash("pwd; ls; echo made-by-the-agent > result.txt"),
		standin.Say("I am done."),
		standin.Say("I went on."),
	)
}

type codexRun struct {
	host, token string
	running     string // what the agent's processes show
	plain       bool   // there are no WebSockets
	model       *standin.OpenAI
}

// works starts, resumes and cleans up, whatever holds the bottle.
func (c codexRun) works(t *testing.T, w *world) {
	t.Helper()
	w.file(filepath.Join(w.project, "README.md"), "the project\n", 0o644)
	r := w.headless("do the thing")
	if r.code != 0 || !strings.Contains(r.out, "I am done.") {
		t.Fatalf("exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	id := r.kept(t)
	c.checkTools(t)
	c.checkUpstream(t, w)
	w.swept(t, id, []string{provider.Placeholder}, []string{c.running, "\ncodex\n"}, []string{c.token})
	if log := w.run("log", id); !strings.Contains(log.out, "redacted in ") {
		t.Errorf("the log does not tell of the placeholder: %s", log.out)
	}

	written, err := os.ReadFile(filepath.Join(w.home, "state", id, "home", "workspace", "result.txt"))
	if err != nil || string(written) != "made-by-the-agent\n" {
		t.Errorf("in the copy: %q, %v", written, err)
	}
	if _, err := os.Stat(filepath.Join(w.project, "result.txt")); !os.IsNotExist(err) {
		t.Errorf("the agent wrote into the host's directory: %v", err)
	}
	if transcripts, _ := filepath.Glob(filepath.Join(w.home, "state", id, "transcript", "*", "*", "*", "*.jsonl")); len(transcripts) == 0 {
		t.Error("no transcript was kept")
	}
	r = w.run("resume", id, "--yes", "--headless", "--prompt", "go on now")
	if r.code != 0 || !strings.Contains(r.out, "I went on.") {
		t.Fatalf("resume: exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	turns := c.model.Exchanges()
	if last := turns[len(turns)-1].Prompt; !strings.Contains(last, "go on now") {
		t.Errorf("the resumed session was asked %q", last)
	}
	if !c.model.Heard("do the thing", "go on now") {
		t.Error("the resumed session does not hold the first one")
	}
	// A use that the program itself refuses ends with its own code.
	if r := w.headless("x", "--", "--no-such-flag"); r.code != 2 || !strings.Contains(r.err+r.out, "--no-such-flag") {
		t.Errorf("the program's exit code is %d\n%s\n%s", r.code, r.out, r.err)
	}
	w.clean("--preserved")
	w.stateIs()
}

func (c codexRun) checkTools(t *testing.T) {
	t.Helper()
	results := c.model.Results()
	if len(results) != 4 {
		t.Fatalf("%d tool results: %+v", len(results), results)
	}
	if !strings.Contains(results[0].Content, "trust_level") {
		t.Errorf("not the files of a bottle:\n%s", results[0].Content)
	}
	for _, want := range []string{"Say what you see.", `"auth_mode"`, "CODEX_CA_CERTIFICATE="} {
		if !strings.Contains(results[0].Content, want) {
			t.Errorf("it did not see %q:\n%s", want, results[0].Content)
		}
	}
	if !strings.Contains(results[1].Content, "swept") {
		t.Errorf("the sweep: %s", results[1].Content)
	}
	for i, r := range results {
		if strings.Contains(r.Content, c.token) || strings.Contains(r.Content, c.token[len(c.token)-40:]) {
			t.Errorf("tool %d saw the real token", i)
		}
		if strings.Contains(r.Content, provider.Placeholder) {
			t.Errorf("the placeholder left in the result of tool %d", i)
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

func (c codexRun) checkUpstream(t *testing.T, w *world) {
	t.Helper()
	asked := 0
	for _, r := range w.upstream.Requests() {
		if r.Host != c.host {
			t.Errorf("the upstream was asked for %q", r.Host)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer "+c.token {
			t.Errorf("%s %s came with another credential", r.Method, r.URI)
		}
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), provider.Placeholder) {
				t.Errorf("%s %s carries the placeholder in %s", r.Method, r.URI, name)
			}
		}
		switch path := r.URI; {
		case strings.HasSuffix(path, "/responses"):
			asked++
			if r.Method == http.MethodPost && !c.plain {
				t.Error("the conversation went on by HTTP")
			}
		case strings.HasPrefix(path, "/backend-api/ps/"), strings.HasPrefix(path, "/backend-api/conversations"):
			t.Errorf("%s went out, which the harness does not need", path)
		}
	}
	if asked == 0 {
		t.Error("no response was asked for")
	}
	if sockets := c.model.Sockets(); (sockets > 0) == c.plain {
		t.Errorf("%d WebSockets were opened", sockets)
	}
}
