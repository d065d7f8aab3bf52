package sidecar_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// tools is the agent's MCP session with the sidecar.
func tools(t testing.TB, client *http.Client) *mcp.ClientSession {
	t.Helper()
	mc := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := mc.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: "http://supervise/mcp", HTTPClient: client, DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// outcome is what a tool says.
type outcome struct {
	Status, ID, Reason, Scope, Next string
	Approved                        json.RawMessage
	text                            string
	failed                          bool
}

func call(t testing.TB, s *mcp.ClientSession, name string, args any) outcome {
	t.Helper()
	result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		return outcome{failed: true, text: err.Error()}
	}
	out := outcome{failed: result.IsError}
	for _, c := range result.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			out.text += text.Text
		}
	}
	_ = json.Unmarshal([]byte(out.text), &out)
	return out
}

// answered calls a tool, and decides what it asks.
func answered(t testing.TB, operator *control.Client, s *mcp.ClientSession, name string, args any, by ask.Decision) (outcome, ask.Proposal, time.Duration) {
	t.Helper()
	said := make(chan outcome, 1)
	at := make(chan time.Time, 1)
	go func() {
		out := call(t, s, name, args)
		at <- time.Now()
		said <- out
	}()
	p := firstOpen(t, operator)
	by.ID, by.Digest = p.ID, p.Digest
	began := time.Now()
	if _, err := operator.Decide(t.Context(), by); err != nil {
		t.Fatal(err)
	}
	return <-said, p, (<-at).Sub(began)
}

func TestTheAgentAsksThroughItsTools(t *testing.T) {
	r, client, operator := supervised(t)
	s := tools(t, client)
	listed, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	if want := []string{"capability-block", "egress-allow", "egress-block", "egress-token-allow", "gitleaks-allow", "list-egress-routes", "proposal-status"}; !slices.Equal(names, want) {
		t.Errorf("the tools are %q", names)
	}
	if out := call(t, s, "list-egress-routes", nil); out.Status != "ok" || !strings.Contains(out.text, `"host": "example.com"`) || strings.Contains(out.text, token()) || strings.Contains(out.text, "UPSTREAM_TOKEN") {
		t.Errorf("the routes are %s", out.text)
	}
	args := map[string]any{"host": "docs.example.net", "methods": []string{"GET"}, "paths": []map[string]string{{"type": "prefix", "value": "/v1/"}}, "justification": "the manual\x1b[2J"}
	out, p, took := answered(t, operator, s, "egress-allow", args, ask.Decision{Verdict: ask.Approved, Scope: ask.Run, Reason: "fine"})
	if out.Status != "approved" || out.Scope != "run" || out.Reason != "fine" || out.ID != p.ID {
		t.Errorf("it says %s", out.text)
	}
	if took > time.Second {
		t.Errorf("the answer took %s", took)
	}
	if p.Words != "the manual\x1b[2J" || string(p.Candidate) != `{"host":"docs.example.net","ports":[443],"matches":[{"paths":[{"type":"prefix","value":"/v1/"}],"methods":["GET"]}],"dlp":{}}` {
		t.Errorf("asked %+v %s", p, p.Candidate)
	}
	if again := call(t, s, "egress-allow", args); again.Status != "approved" || again.ID != p.ID {
		t.Errorf("the same again is %s", again.text)
	}
	if status := call(t, s, "proposal-status", map[string]any{"id": p.ID}); status.Status != "approved" {
		t.Errorf("its status is %s", status.text)
	}
	live, err := operator.Routes(t.Context())
	if err != nil || len(live.Egress.Routes) != 2 || live.Egress.Routes[1].Host != "docs.example.net" {
		t.Errorf("in force: %+v, %v", live.Egress.Routes, err)
	}
	stats, err := r.client.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident after tools: %.1f MiB", float64(stats.ResidentBytes)/(1<<20))
}

func TestARejectionIsInTheToolsResult(t *testing.T) {
	_, client, operator := supervised(t)
	s := tools(t, client)
	args := map[string]any{"url": "https://new.example.net/a/b?c=d", "method": "POST", "justification": "I want to"}
	out, p, _ := answered(t, operator, s, "egress-block", args, ask.Decision{Verdict: ask.Rejected, Reason: "use the mirror"})
	if out.Status != "rejected" || out.Reason != "use the mirror" || p.Title != "POST https://new.example.net/a/b" {
		t.Errorf("%q: it says %s", p.Title, out.text)
	}
	if again := call(t, s, "egress-block", args); again.Status != "rejected" {
		t.Errorf("the same again is %s", again.text)
	}
}

func TestAnEditedApprovalSaysWhatIsInForce(t *testing.T) {
	_, client, operator := supervised(t)
	s := tools(t, client)
	out, _, _ := answered(t, operator, s, "egress-allow", map[string]any{"host": "*.example.net", "justification": "all of it"},
		ask.Decision{Verdict: ask.Approved, Scope: ask.Run, Candidate: json.RawMessage(`{"host":"docs.example.net","dlp":{}}`)})
	if out.Status != "modified" || !strings.Contains(string(out.Approved), "docs.example.net") {
		t.Errorf("it says %s", out.text)
	}
}

func TestWhatAToolIsToldBadlyIsAnErrorThatHelps(t *testing.T) {
	_, client, operator := supervised(t)
	s := tools(t, client)
	for name, tc := range map[string]struct {
		tool string
		args map[string]any
		want string
	}{
		"no host":              {"egress-allow", map[string]any{"justification": "x"}, "host"},
		"no justification":     {"egress-allow", map[string]any{"host": "a.example"}, "justification"},
		"an empty one":         {"egress-allow", map[string]any{"host": "a.example", "justification": ""}, "justification"},
		"an unknown field":     {"egress-allow", map[string]any{"host": "a.example", "justification": "x", "tls": "passthrough"}, "tls"},
		"too many words":       {"egress-allow", map[string]any{"host": "a.example", "justification": strings.Repeat("x", 100<<10)}, "justification"},
		"a port too many":      {"egress-allow", map[string]any{"host": "a.example", "ports": []int{65536}, "justification": "x"}, "ports"},
		"a regex":              {"egress-allow", map[string]any{"host": "a.example", "paths": []map[string]string{{"type": "regex", "value": ".*"}}, "justification": "x"}, "type"},
		"a bidi host":          {"egress-allow", map[string]any{"host": "a\u202eelpmaxe.moc", "justification": "x"}, "host"},
		"a host with escapes":  {"egress-allow", map[string]any{"host": "a\x1b[2J.example", "justification": "x"}, "host"},
		"a private address":    {"egress-allow", map[string]any{"host": "10.0.0.1", "justification": "x"}, "private"},
		"the metadata service": {"egress-block", map[string]any{"url": "http://169.254.169.254/latest", "justification": "x"}, "metadata"},
		"all of a domain":      {"egress-allow", map[string]any{"host": "*.com", "justification": "x"}, "below"},
		"no URL":               {"egress-block", map[string]any{"url": "file:///etc/passwd", "justification": "x"}, "URL"},
		"a value never held":   {"egress-token-allow", map[string]any{"fingerprint": "0123456789abcdef", "host": "example.com", "justification": "x"}, "no request"},
		"a push never held":    {"gitleaks-allow", map[string]any{"fingerprint": "0123456789abcdef", "justification": "x"}, "no push"},
		"no capability":        {"capability-block", map[string]any{"packages": []map[string]string{{"manager": "npm", "name": "jq"}}, "justification": "x"}, "fixed"},
		"another's proposal":   {"proposal-status", map[string]any{"id": "other-abc12/1"}, "no proposal"},
		"no such tool":         {"decide", map[string]any{"id": "test-abc12/1"}, ""},
	} {
		out := call(t, s, tc.tool, tc.args)
		if !out.failed || !strings.Contains(out.text, tc.want) {
			t.Errorf("%s: %v %q, want %q", name, out.failed, out.text[:min(len(out.text), 200)], tc.want)
		}
		if strings.ContainsAny(out.text, "\x1b\u202e") {
			t.Errorf("%s: the answer repeats what it must not: %q", name, out.text)
		}
	}
	if out := call(t, s, "egress-allow", map[string]any{"host": "a.example", "justification": strings.Repeat("x", 1<<20)}); !out.failed {
		t.Errorf("a megabyte: %s", out.text)
	}
	now, err := operator.Proposals(t.Context(), 0)
	if err != nil || len(now.Proposals) > 0 {
		t.Errorf("asked %+v, %v", now.Proposals, err)
	}
}

func TestAHeldValueIsAskedForByItsFingerprint(t *testing.T) {
	_, client, operator := supervised(t)
	value := "ghp_" + strings.Repeat("aB3dE6gH", 4) + "iJ9k"
	post := func() (int, string) {
		resp, err := client.Post("https://example.com/write", "text/plain", strings.NewReader("token "+value))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	refused := make(chan string, 1)
	go func() {
		_, body := post()
		refused <- body
	}()
	p := firstOpen(t, operator)
	if _, err := operator.Decide(t.Context(), ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Rejected}); err != nil {
		t.Fatal(err)
	}
	body := <-refused
	if strings.Contains(body, "egress-token-allow") {
		t.Errorf("after a rejection it is told to ask again: %s", body)
	}
	_, rest, ok := strings.Cut(body, "fingerprint ")
	if !ok || len(rest) < 16 {
		t.Fatalf("the refusal is %s", body)
	}
	s := tools(t, client)
	out, q, _ := answered(t, operator, s, "egress-token-allow",
		map[string]any{"fingerprint": rest[:16], "host": "example.com", "justification": "an example of the manual"}, ask.Decision{Verdict: ask.Approved, Scope: ask.Run})
	if out.Status != "approved" || strings.Contains(q.Title+string(q.Candidate), value) {
		t.Errorf("%q: it says %s", q.Title, out.text)
	}
	if status, body := post(); status != 200 {
		t.Errorf("after the approval: %d %s", status, body)
	}
}

func TestARefusedValueNamesTheToolToAskWith(t *testing.T) {
	for _, supervise := range []bool{true, false} {
		r := start(t)
		c := askingConfig(upstream(t))
		c.Egress.Routes[0].DLP.OnMatch = "block"
		if !supervise {
			c.Supervise, c.Egress.OnDeny, c.Egress.AskSeconds = false, "", 0
		}
		client := configureAsking(t, r, c)
		resp, err := client.Post("https://example.com/write", "text/plain", strings.NewReader("token ghp_"+strings.Repeat("aB3dE6gH", 4)+"iJ9k"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusForbidden || strings.Contains(string(body), "egress-token-allow") != supervise {
			t.Errorf("supervise %v: %d %v: %s", supervise, resp.StatusCode, err, body)
		}
	}
}
