package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/provider/codex"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// asked waits until something is open in the inbox, as a script of the operator does.
func (w *world) asked(ctx context.Context) (ask.Proposal, bool) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := w.command(ctx, "proposals", "list", "--open", "--json").Output()
		var all []ask.Proposal
		if err == nil && json.Unmarshal(out, &all) == nil && len(all) > 0 {
			return all[0], true
		}
		select {
		case <-ctx.Done():
			return ask.Proposal{}, false
		case <-tick.C:
		}
	}
}

// decided runs one decision and returns when it was made.
func (w *world) decided(ctx context.Context, verb string, p ask.Proposal, more ...string) time.Time {
	w.t.Helper()
	args := append([]string{"proposals", verb, p.ID, "--seen", p.Digest[:12]}, more...)
	if out, err := w.command(ctx, args...).CombinedOutput(); err != nil {
		w.t.Errorf("%q: %v\n%s", args, err, out)
	}
	return time.Now()
}

// begun starts the agent in the background.
func (w *world) begun(args ...string) <-chan result {
	w.t.Helper()
	done := make(chan result, 1)
	go func() { done <- w.run(args...) }()
	return done
}

func ended(t *testing.T, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not end")
		return result{}
	}
}

// askingBottle allows the host to be written to at one path, and asks about the rest.
func (w *world) askingBottle(extra, seconds string, hosts ...string) {
	w.t.Helper()
	var b strings.Builder
	b.WriteString("---\n" + extra + "egress:\n  on_deny: ask\n  ask_timeout: " + seconds + "\n  routes: # mine\n")
	for _, h := range hosts {
		b.WriteString("    - host: " + h + "\n      connect_to: " + w.upstream.Addr() + "\n      upstream_ca: upstream.pem\n")
		if h != claude.Host && h != codex.ChatHost {
			b.WriteString("      matches:\n        - {methods: [POST], paths: [{type: exact, value: /write}]} # only this\n")
		}
	}
	b.WriteString("---\n")
	w.file(filepath.Join(w.home, "bottles", "work.md"), b.String(), 0o600)
	w.file(filepath.Join(w.home, "agents", "work.md"), "---\nbottle: work\n---\n\nSay what you see.\n", 0o600)
}

func world200(t *testing.T, model http.Handler) *world {
	t.Helper()
	return newWorld(t, standin.Config{Hosts: map[string]http.Handler{
		claude.Host: model, codex.ChatHost: model,
		"asked.example.org": http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("the page\n")) }),
	}})
}

func start(w *world) <-chan result {
	return w.begun("start", "work", "--yes", "--headless", "--prompt", "go")
}

// toolTurns are the same for every harness.
func toolTurns() []standin.Turn {
	name := func(tool string) string { return "mcp__supervise__" + tool }
	return []standin.Turn{
		standin.Use(name("list-egress-routes"), map[string]any{}),
		standin.Use(name("egress-allow"), map[string]any{"host": "docs.example.net", "justification": "the manual"}),
		standin.Use(name("egress-allow"), map[string]any{"host": "evil.example.net", "justification": "just because"}),
		standin.Say("I am done."),
	}
}

// checkTools decides what the agent asks, and looks at what its tools told the model.
func checkTools(t *testing.T, w *world, done <-chan result, results func() []standin.ToolResult) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, verb := range []string{"approve", "reject"} {
		p, ok := w.asked(ctx)
		if !ok {
			t.Fatalf("nothing is asked: %+v", results())
		}
		more := []string{"--scope", "run"}
		if verb == "reject" {
			more = []string{"--reason", "use the mirror"}
		}
		at := w.decided(ctx, verb, p, more...)
		tick := time.NewTicker(time.Millisecond)
		for len(results()) < 2+i {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("no answer reached the model: %+v", results())
			}
		}
		tick.Stop()
		took := time.Since(at)
		t.Logf("%s: the model had the answer %s after it", verb, took.Round(time.Millisecond))
		if took > time.Second {
			t.Errorf("the answer took %s", took)
		}
	}
	if r := ended(t, done); r.code != 0 {
		t.Fatalf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	all := results()
	if len(all) < 3 {
		t.Fatalf("%d results: %+v", len(all), all)
	}
	for i, want := range [][]string{{"asked.example.org"}, {`"approved"`, `"run"`}, {`"rejected"`, "use the mirror"}} {
		for _, part := range want {
			if !strings.Contains(strings.ReplaceAll(all[i].Content, `\"`, `"`), part) {
				t.Errorf("result %d lacks %s: %s", i, part, all[i].Content)
			}
		}
	}
}

// TestClaudeAsksThroughItsOwnTools: the real program speaks MCP with the sidecar.
func TestClaudeAsksThroughItsOwnTools(t *testing.T) {
	needNative(t)
	binary := need.Agent(t, "claude")
	turns := toolTurns()
	model := standin.NewAnthropic(append(turns[:3:3], standin.Bash("claude mcp list"), turns[3])...)
	w := world200(t, model)
	if err := os.Symlink(binary, filepath.Join(w.bin, "claude")); err != nil {
		t.Fatal(err)
	}
	w.askingBottle("", "60s", claude.Host, "asked.example.org")
	checkTools(t, w, start(w), model.Results)
	if all := model.Results(); len(all) != 4 || !strings.Contains(all[3].Content, "supervise: http://supervise/mcp (HTTP) - ✔ Connected") {
		t.Errorf("the harness says of its servers: %+v", all)
	}
}

// TestCodexAsksThroughItsOwnTools: the real program speaks MCP with the sidecar, in each of the
// ways in which it offers the tools of a server to a model.
func TestCodexAsksThroughItsOwnTools(t *testing.T) {
	needNative(t)
	binary := need.Agent(t, "codex")
	tools := []string{"capability_block", "egress_allow", "egress_block", "egress_token_allow", "gitleaks_allow", "list_egress_routes", "proposal_status"}
	for name, tc := range map[string]struct{ args []string }{
		"functions in code":         {nil},
		"a name space of functions": {[]string{"--", "-m", "gpt-5.1-codex"}},
		"found by a search":         {[]string{"--", "-m", "gpt-5.5"}},
	} {
		t.Run(name, func(t *testing.T) {
			turns := toolTurns()
			if tc.args == nil {
				list := standin.Script("text(ALL_TOOLS.map(t => t.name).filter(n => n.startsWith('mcp__')).map(n => n.replace('mcp__supervise__', 'mcp__supervise/')));")
				turns = append(turns[:3:3], list, turns[3])
			}
			model := standin.NewOpenAI(turns...)
			w := world200(t, model)
			if err := os.Symlink(binary, filepath.Join(w.bin, "codex")); err != nil {
				t.Fatal(err)
			}
			w.codexLogin(time.Now().Add(time.Hour), "first")
			w.askingBottle("agent_provider: {template: codex, forward_host_credentials: true}\n", "60s", codex.ChatHost, codex.APIHost, "asked.example.org")
			checkTools(t, w, w.begun(append([]string{"start", "work", "--yes", "--headless", "--prompt", "go"}, tc.args...)...), model.Results)
			listed, told := "", false
			for _, e := range model.Exchanges() {
				listed += strings.Join(e.Tools, " ") + " "
				told = told || strings.Contains(e.System, "- mcp__supervise: You run in a bottle: nothing leaves it but what its operator allows. When something you need is refused, ask here and say why; a person reads it.\n")
			}
			if tc.args == nil {
				listed = model.Results()[3].Content
				if !told {
					t.Error("the model is not told what the server is for")
				}
			}
			for _, tool := range tools {
				if !strings.Contains(listed, "mcp__supervise/"+tool) {
					t.Errorf("the model is not told of %s: %s", tool, listed)
				}
			}
		})
	}
}

// curl is an agent that fetches a page with an unmodified tool.
const curl = `set -o pipefail
curl -sS -m 30 https://asked.example.org/page; echo "exit $?"
`

func TestAnUnmodifiedToolWaitsForTheOperator(t *testing.T) {
	needNative(t)
	for name, tc := range map[string]struct {
		seconds, verb string
		more          []string
		want          string
	}{
		"approved once":       {"60s", "approve", []string{"--scope", "once"}, "the page\nexit 0\n"},
		"approved for always": {"60s", "approve", []string{"--scope", "always"}, "the page\nexit 0\n"},
		"rejected":            {"60s", "reject", []string{"--reason", "use the mirror"}, "the operator refused it: use the mirror"},
		"nobody answers":      {"1s", "", nil, "nobody answered within 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			w := world200(t, http.NotFoundHandler())
			w.askingBottle("", tc.seconds, claude.Host, "asked.example.org")
			w.agent(curl)
			before := readFile(t, filepath.Join(w.home, "bottles", "work.md"))
			done := start(w)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if tc.verb != "" {
				p, ok := w.asked(ctx)
				if !ok || p.Title != "GET https://asked.example.org/page" {
					t.Fatalf("asked %+v", p)
				}
				w.decided(ctx, tc.verb, p, tc.more...)
			}
			if r := ended(t, done); !strings.Contains(r.out, tc.want) {
				t.Errorf("it printed %s\n%s", r.out, r.err)
			}
			after := readFile(t, filepath.Join(w.home, "bottles", "work.md"))
			if name != "approved for always" {
				if after != before {
					t.Errorf("the bottle's file has changed:\n%s", after)
				}
				return
			}
			added := "        - {methods: [GET], paths: [{type: exact, value: /page}]}\n"
			if strings.Replace(after, added, "", 1) != before || !strings.Contains(after, added) {
				t.Errorf("the bottle's file is\n%s", after)
			}
			if r := w.headless("again"); !strings.Contains(r.out, "the page\nexit 0\n") {
				t.Errorf("the next bottle printed %s\n%s", r.out, r.err)
			}
		})
	}
}

func TestAHundredToolsAtOnceAreOneQuestion(t *testing.T) {
	needNative(t)
	w := world200(t, http.NotFoundHandler())
	w.askingBottle("", "60s", claude.Host, "asked.example.org")
	w.agent("curl -sS -m 100 --retry 5 --retry-all-errors --parallel --parallel-immediate --parallel-max 100 'https://asked.example.org/page?n=[1-100]'\n" +
		"curl -sS http://supervise/mcp -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' " +
		`-d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"proposal-status","arguments":{"id":"'$HOSTNAME'/2"}}}'` + "\n")
	done := start(w)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, ok := w.asked(ctx)
	for ok && p.Held < 20 { // a busy machine takes its time for all of them
		p, ok = w.asked(ctx)
	}
	if !ok || !strings.HasSuffix(p.ID, "/1") {
		t.Fatalf("asked %+v", p)
	}
	w.decided(ctx, "approve", p, "--scope", "run")
	r := ended(t, done)
	if strings.Count(r.out, "the page\n") != 100 {
		t.Errorf("%d came through\n%s", strings.Count(r.out, "the page\n"), r.err)
	}
	if !strings.Contains(r.out, "there is no proposal") {
		t.Errorf("there was a second question: %s", r.out[strings.LastIndex(r.out, "\n"):])
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
