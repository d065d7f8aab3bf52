package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/sidecar"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// askingConfig allows to write to one path of example.com and asks about the rest.
func askingConfig(addr, ca string) sidecar.Config {
	c := config(addr, ca)
	c.Supervise = true
	c.Egress.OnDeny, c.Egress.AskSeconds = policy.OnDenyAsk, 20
	c.Egress.Routes[0].Matches = []policy.Match{{Methods: []string{"POST"}, Paths: []policy.PathMatch{{Type: "exact", Value: "/write"}}}}
	return c
}

// supervised is a sidecar that asks, and an operator's connection to it.
func supervised(t testing.TB) (*rig, *http.Client, *control.Client) {
	t.Helper()
	r := start(t)
	return r, configureAsking(t, r, askingConfig(upstream(t))), operate(t, r)
}

func configureAsking(t testing.TB, r *rig, c sidecar.Config) *http.Client {
	t.Helper()
	r.hand(t)
	ready, err := r.client.Configure(t.Context(), c, secrets())
	if err != nil {
		t.Fatalf("%v\n%s", err, r.stderr)
	}
	return agent(t, r, ready)
}

func operate(t testing.TB, r *rig) *control.Client {
	t.Helper()
	client := control.NewClient(must[net.Conn](t)(net.Dial("unix", r.status)))
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// firstOpen waits until something is asked.
func firstOpen(t testing.TB, operator *control.Client) ask.Proposal {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for since := uint64(0); ; {
		now, err := operator.Proposals(ctx, since)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range now.Proposals {
			if p.State.Open() {
				return p
			}
		}
		since = now.Revision
	}
}

// fetch makes a request in the background.
func fetch(t testing.TB, client *http.Client, address string) <-chan string {
	t.Helper()
	came := make(chan string, 1)
	go func() {
		resp, err := client.Get(address)
		if err != nil {
			came <- err.Error()
			return
		}
		defer resp.Body.Close()
		var body [4096]byte
		n, _ := resp.Body.Read(body[:])
		came <- fmt.Sprintf("%d %s", resp.StatusCode, body[:n])
	}()
	return came
}

func within(t testing.TB, came <-chan string) string {
	t.Helper()
	select {
	case got := <-came:
		return got
	case <-time.After(deadline):
		t.Fatal("it does not come back")
		return ""
	}
}

func TestWhatIsHeldGoesOutWhenTheOperatorSaysSo(t *testing.T) {
	r, client, operator := supervised(t)
	came := fetch(t, client, "https://example.com/read?q=secret")
	p := firstOpen(t, operator)
	if p.Title != "GET https://example.com/read" || p.Kind != ask.Route || !strings.HasPrefix(p.ID, "test-abc12/") {
		t.Errorf("asked %+v", p)
	}
	effect := map[string]string{}
	for _, f := range p.Effect {
		effect[f.Name] = f.Value
	}
	if !strings.Contains(effect["change"], "+ - host: example.com\n+   matches: [{methods: [GET], paths: [{type: exact, value: /read}]}]") ||
		effect["newly reachable"] != "example.com, port 80, 443: GET of exact \"/read\", with the credential UPSTREAM_TOKEN" {
		t.Errorf("the effect is %q", effect)
	}
	began := time.Now()
	if _, err := operator.Decide(t.Context(), ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: ask.Run}); err != nil {
		t.Fatal(err)
	}
	if got := within(t, came); got != "200 Bearer "+token() {
		t.Errorf("it came back with %q", got)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the answer took %s", took)
	}
	if got := within(t, fetch(t, client, "https://example.com/read")); !strings.HasPrefix(got, "200 ") {
		t.Errorf("the next came back with %q", got)
	}
	var lines []string
	for _, e := range r.events(t, audit.Filter{Kinds: []string{"proposal"}}) {
		lines = append(lines, e.Verdict+" "+e.Message)
	}
	if !slices.Contains(lines, " asked: GET https://example.com/read") || !slices.Contains(lines, "allow approved: GET https://example.com/read") {
		t.Errorf("the log says %q", lines)
	}
}

func TestARefusalReachesTheAgentWithItsReason(t *testing.T) {
	_, client, operator := supervised(t)
	came := fetch(t, client, "https://example.com/other")
	p := firstOpen(t, operator)
	if _, err := operator.Decide(t.Context(), ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Rejected, Reason: "use the mirror"}); err != nil {
		t.Fatal(err)
	}
	if got := within(t, came); !strings.HasPrefix(got, "403 ") || !strings.Contains(got, "the operator refused it: use the mirror") {
		t.Errorf("it came back with %q", got)
	}
}

func TestAHundredAtOnceAreFewQuestions(t *testing.T) {
	_, client, operator := supervised(t)
	var all []<-chan string
	for range 100 {
		all = append(all, fetch(t, client, "https://new.example.net/a"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	var p ask.Proposal
	for since := uint64(0); p.Held < 100; {
		now, err := operator.Proposals(ctx, since)
		if err != nil || len(now.Proposals) > 1 {
			t.Fatalf("%d questions, %v", len(now.Proposals), err)
		}
		if since = now.Revision; len(now.Proposals) == 1 {
			p = now.Proposals[0]
		}
	}
	if _, err := operator.Decide(ctx, ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Rejected, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	for _, came := range all {
		if got := within(t, came); !strings.HasPrefix(got, "403 ") {
			t.Errorf("it came back with %q", got)
		}
	}
}

func TestANameIsAnsweredWhereItWillBeAskedAbout(t *testing.T) {
	r, _, _ := supervised(t)
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", r.dns)
	}}
	addrs, err := resolver.LookupHost(t.Context(), "new.example.net.")
	if err != nil || !slices.ContainsFunc(addrs, func(a string) bool { return strings.HasPrefix(a, "198.18.") }) {
		t.Errorf("got %v, %v", addrs, err)
	}
	for _, name := range []string{"intranet.", "db.internal.", "printer.local.", "under_score.example.net."} {
		if addrs, err := resolver.LookupHost(t.Context(), name); err == nil {
			t.Errorf("%s gives %v", name, addrs)
		}
	}
}

func TestTwoDecisionsAreOne(t *testing.T) {
	r, client, operator := supervised(t)
	came := fetch(t, client, "https://example.com/read")
	p := firstOpen(t, operator)
	var mu sync.Mutex // guards won
	won := 0
	var all sync.WaitGroup
	for range 8 {
		other := operate(t, r)
		all.Go(func() {
			_, err := other.Decide(t.Context(), ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: ask.Run})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !fault.Is(err, fault.Exists) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Errorf("%d decisions counted", won)
	}
	within(t, came)
}

func TestADeadSidecarLosesNothingAndTheNextAppliesOnce(t *testing.T) {
	r, same := start(t), askingConfig(upstream(t))
	client, operator := configureAsking(t, r, same), operate(t, r)
	came := fetch(t, client, "https://example.com/read")
	p := firstOpen(t, operator)
	if _, err := operator.Decide(t.Context(), ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: ask.Run}); err != nil {
		t.Fatal(err)
	}
	within(t, came)
	held := fetch(t, client, "https://new.example.net/")
	firstOpen(t, operator)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.ends(t)
	within(t, held)
	left, err := desk.Read(r.inbox, "test-abc12")
	if err != nil || len(left) != 2 {
		t.Fatalf("left %+v, %v", left, err)
	}
	next := startWith(t, func(path string) (*os.File, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	})
	raw := must[[]byte](t)(os.ReadFile(r.inbox))
	if err := os.WriteFile(next.inbox, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	client = configureAsking(t, next, same)
	live, err := next.client.Routes(t.Context())
	if err != nil || len(live.Egress.Routes) != 2 {
		t.Errorf("in force: %+v, %v", live, err)
	}
	if got := within(t, fetch(t, client, "https://example.com/read")); !strings.HasPrefix(got, "200 ") {
		t.Errorf("what was approved for the run comes back with %q", got)
	}
	now, err := operate(t, next).Proposals(t.Context(), 0)
	if err != nil || len(now.Proposals) != 2 || now.Proposals[0].State.Open() || now.Proposals[1].State.Open() {
		t.Errorf("the inbox is %+v, %v", now, err)
	}
	if _, err := operate(t, next).Decide(t.Context(), ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: ask.Run}); !fault.Is(err, fault.Exists) {
		t.Errorf("a replayed approval gives %v", err)
	}
}

func TestTheAgentReachesNoPartOfTheInbox(t *testing.T) {
	r, client, operator := supervised(t)
	came := fetch(t, client, "https://example.com/read")
	p := firstOpen(t, operator)
	decision, err := json.Marshal(map[string]any{"id": 1, "method": "decide", "params": ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: ask.Run}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/decide", "/proposals", "/control", "/mcp"} {
		resp, err := http.Post("http://"+r.tcp+path, "application/json", strings.NewReader(string(decision)))
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("%s answers %d", path, resp.StatusCode)
			}
		}
	}
	conn := must[net.Conn](t)(net.Dial("tcp", r.tcp))
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(deadline))
	_, _ = conn.Write(append(decision, '\n'))
	if now, err := operator.Proposal(t.Context(), p.ID); err != nil || !now.State.Open() {
		t.Errorf("it is %s, %v", now.State, err)
	}
	if _, err := operator.Decide(t.Context(), ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Rejected}); err != nil {
		t.Fatal(err)
	}
	within(t, came)
}

func TestARouteThatIsRemovedTakesItsApprovalAlong(t *testing.T) {
	_, client, operator := supervised(t)
	came := fetch(t, client, "https://example.com/read")
	p := firstOpen(t, operator)
	if _, err := operator.Decide(t.Context(), ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: ask.Run}); err != nil {
		t.Fatal(err)
	}
	if got := within(t, came); !strings.HasPrefix(got, "200 ") {
		t.Fatalf("it came back with %q", got)
	}
	live, err := operator.Routes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	live.Egress.Routes = live.Egress.Routes[:len(live.Egress.Routes)-1]
	if _, err := operator.SetRoutes(t.Context(), live); err != nil {
		t.Fatal(err)
	}
	if p, err = operator.Proposal(t.Context(), p.ID); err != nil || !p.Revoked || len(desk.Carried([]ask.Proposal{p})) != 0 {
		t.Errorf("the approval is %+v, %v", p, err)
	}
}
