package supervise_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/supervise"
)

// bottle has one route and one push that was held; closed says what is no longer open of what was approved.
type bottle struct{ closed *atomic.Bool }

func (b bottle) InForce(policy.Route) bool { return !b.closed.Load() }

func (bottle) Routes() any                                   { return []string{"example.com"} }
func (bottle) Complete(r policy.Route) (policy.Route, error) { return r, nil }
func (bottle) Missing(q policy.Request) (policy.Route, bool, error) {
	return policy.Route{Host: q.Host(), Ports: []uint16{q.Port()}}, q.Host() == "example.com", nil
}

func (bottle) HeldValue(string, string) (json.RawMessage, string, error) {
	return nil, "", fault.New(fault.NotFound, "no such value")
}

func (bottle) HeldPush(string) (ask.Question, error) {
	return ask.Question{Kind: ask.Push, Key: "push", Title: "push to app", Candidate: json.RawMessage(`["finding"]`)}, nil
}

// serve is a server with a short patience, and the agent's session with it.
func serve(t *testing.T, capability string) (*desk.Desk, *mcp.ClientSession) {
	t.Helper()
	return serveWhere(t, capability, new(atomic.Bool))
}

func serveWhere(t *testing.T, capability string, closed *atomic.Bool) (*desk.Desk, *mcp.ClientSession) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "p.jsonl"), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := desk.New(desk.Config{ID: "api-abcde"}, desk.Deps{Journal: f, Standing: []ask.Kind{ask.Push}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := supervise.New(supervise.Config{Patience: 50 * time.Millisecond, Capability: capability}, supervise.Deps{Inbox: inbox, Bottle: bottle{closed}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx) }}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: "http://supervise/mcp", HTTPClient: &http.Client{Transport: transport}, DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = session.Close()
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := s.Dial(context.Background()); err == nil {
			t.Error("it is reached after its end")
		}
	})
	return inbox, session
}

func call(t *testing.T, s *mcp.ClientSession, name string, args map[string]any) (supervise.Outcome, string, bool) {
	t.Helper()
	result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		t.Fatal(err)
	}
	var out supervise.Outcome
	text := result.Content[0].(*mcp.TextContent).Text
	_ = json.Unmarshal([]byte(text), &out)
	return out, text, result.IsError
}

func TestASilentOperatorIsPendingAndTheSameIsAskedOnce(t *testing.T) {
	inbox, s := serve(t, "")
	args := map[string]any{"host": "New.Example.net.", "justification": "x"}
	first, text, _ := call(t, s, "egress-allow", args)
	if first.Status != "pending" || first.ID != "api-abcde/1" || first.Next == "" {
		t.Errorf("it says %s", text)
	}
	if again, text, _ := call(t, s, "egress-allow", args); again.Status != "pending" || again.ID != first.ID {
		t.Errorf("again it says %s", text)
	}
	p, err := inbox.Proposal(first.ID)
	if err != nil || p.Key != "new.example.net" || p.Held != 0 || !p.State.Open() {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := inbox.Decide(ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Rejected, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	if status, text, _ := call(t, s, "proposal-status", map[string]any{"id": p.ID}); status.Status != "rejected" || status.Reason != "no" {
		t.Errorf("its status is %s", text)
	}
	args["justification"] = "please"
	if again, text, _ := call(t, s, "egress-allow", args); again.Status != "rejected" || again.ID != first.ID {
		t.Errorf("with other words it says %s", text)
	}
}

func TestAPushIsAskedForAndGoesThroughTheNextTime(t *testing.T) {
	inbox, s := serve(t, "")
	held, _ := bottle{}.HeldPush("")
	out, _, _ := call(t, s, "gitleaks-allow", map[string]any{"fingerprint": "0123456789abcdef", "justification": "a test's own key"})
	p, err := inbox.Proposal(out.ID)
	if err != nil || p.Kind != ask.Push || p.Words != "a test's own key" {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := inbox.Decide(ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: ask.Run}); err != nil {
		t.Fatal(err)
	}
	if a, err := inbox.Ask(t.Context(), held); err != nil || a.Verdict != ask.Approved || string(a.Candidate) != string(held.Candidate) {
		t.Errorf("the push gets %+v, %v", a, err)
	}
	other := held
	other.Candidate = json.RawMessage(`["finding","another"]`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if a, err := inbox.Ask(ctx, other); err != nil || a.Verdict == ask.Approved {
		t.Errorf("a push with one finding more gets %+v, %v", a, err)
	}
}

func TestACapabilityIsAskedForInTheFormOfTheBottle(t *testing.T) {
	packages := map[string]any{"packages": []map[string]string{{"manager": "pip", "name": "jq"}, {"manager": "npm", "name": "@a/b@1.2.3"}}, "justification": "x"}
	dockerfile := map[string]any{"dockerfile": "FROM debian\nRUN true\n", "justification": "x"}
	for _, tc := range []struct {
		form string
		args map[string]any
		want string // of the title, or of the error
	}{
		{"packages", packages, "packages: @a/b@1.2.3 (npm), jq (pip)"},
		{"packages", dockerfile, "has no image"},
		{"dockerfile", dockerfile, "a new Dockerfile"},
		{"dockerfile", packages, "made from a Dockerfile"},
		{"", packages, "image is fixed"},
	} {
		inbox, s := serve(t, tc.form)
		out, text, failed := call(t, s, "capability-block", tc.args)
		if failed {
			if !strings.Contains(text, tc.want) {
				t.Errorf("%s: %s", tc.form, text)
			}
			continue
		}
		if p, err := inbox.Proposal(out.ID); err != nil || p.Title != tc.want || p.Kind != ask.Capability {
			t.Errorf("%s: %+v, %v", tc.form, p, err)
		}
	}
	_, s := serve(t, "packages")
	for _, name := range []string{"--index-url=http://evil", "../x", "a b", "a;b", "$(x)", "git+https://evil/x", "https://evil/x.deb", "-r", "@/x", ""} {
		for _, manager := range []string{"npm", "pip"} {
			_, _, failed := call(t, s, "capability-block", map[string]any{"packages": []map[string]string{{"manager": manager, "name": name}}, "justification": "x"})
			if !failed {
				t.Errorf("%s installs %q", manager, name)
			}
		}
	}
}

func TestAnApprovalStandsOnlyWhileItsRouteIsInForce(t *testing.T) {
	closed := new(atomic.Bool)
	inbox, s := serveWhere(t, "", closed)
	args := map[string]any{"host": "new.example.net", "justification": "x"}
	first, _, _ := call(t, s, "egress-allow", args)
	p, err := inbox.Proposal(first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inbox.Decide(ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: ask.Run}); err != nil {
		t.Fatal(err)
	}
	if again, text, _ := call(t, s, "egress-allow", args); again.Status != "approved" || again.ID != p.ID {
		t.Errorf("while it is in force it says %s", text)
	}
	closed.Store(true)
	if again, text, _ := call(t, s, "egress-allow", args); again.Status != "pending" || again.ID == p.ID {
		t.Errorf("after it was taken away it says %s", text)
	}
	if err := inbox.Revoke(func(ask.Kind, json.RawMessage) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if status, text, _ := call(t, s, "proposal-status", map[string]any{"id": p.ID}); status.Status != "revoked" {
		t.Errorf("its status is %s", text)
	}
}
