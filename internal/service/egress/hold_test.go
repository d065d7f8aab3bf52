package egress_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// operator answers every question the same way, at once or when the question's time is over.
type operator struct {
	answer func(ask.Question) ask.Answer // nil: never

	mu    sync.Mutex // guards what follows
	asked []ask.Question
	left  int // those who went away
}

func (o *operator) Ask(ctx context.Context, q ask.Question) (ask.Answer, error) {
	o.mu.Lock()
	o.asked = append(o.asked, q)
	o.mu.Unlock()
	if o.answer != nil {
		return o.answer(q), nil
	}
	<-ctx.Done()
	if ctx.Err() == context.DeadlineExceeded {
		return ask.Answer{Verdict: ask.Expired}, nil
	}
	o.mu.Lock()
	o.left++
	o.mu.Unlock()
	return ask.Answer{}, ctx.Err()
}

func (o *operator) questions() []ask.Question {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]ask.Question(nil), o.asked...)
}

// asking is a world in which a request without a route is held.
func asking(t *testing.T, o *operator, up *upstream, limits egress.Limits) *world {
	t.Helper()
	return newWorld(t, setup{
		ask: o, limits: limits,
		names: names{"allowed.example", "new.example", "provider.example"},
		set: policy.Set{OnDeny: policy.OnDenyAsk, AskSeconds: 1, Routes: []policy.Route{
			{Host: "allowed.example", ConnectTo: up.address(), Matches: []policy.Match{{Methods: []string{"POST"}}}},
			{Host: "provider.example", Owner: "claude", ConnectTo: up.address(), Matches: []policy.Match{{Methods: []string{"POST"}}}},
		}},
	})
}

// led is the candidate of a question as an operator would approve it, at a test's upstream.
func led(t *testing.T, q ask.Question, up *upstream) json.RawMessage {
	t.Helper()
	var route policy.Route
	if err := json.Unmarshal(q.Candidate, &route); err != nil {
		t.Error(err)
	}
	route.ConnectTo = up.address()
	candidate, err := json.Marshal(route)
	if err != nil {
		t.Error(err)
	}
	return candidate
}

func TestARequestIsHeldAndGoesThroughOnEveryWayIn(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			up := newUpstream(t, false, w.tls, func(rw http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(rw, "hello")
			})
			o := &operator{}
			o.answer = func(q ask.Question) ask.Answer {
				return ask.Answer{Verdict: ask.Approved, Scope: ask.Once, Candidate: led(t, q, up)}
			}
			world := asking(t, o, up, egress.Limits{})
			got := w.send(t, world, attempt{connect: "new.example"})
			if got.status != 200 || len(up.requests()) != 1 {
				t.Fatalf("it came back with %d: %s", got.status, got.body)
			}
			all := o.questions()
			if len(all) != 1 || all[0].Kind != ask.Route || !strings.HasPrefix(all[0].Key, "new.example:") {
				t.Errorf("asked %+v", all)
			}
			if again := w.send(t, world, attempt{connect: "new.example"}); again.status != got.status || len(o.questions()) != 2 {
				t.Errorf("once is not once: %d questions", len(o.questions()))
			}
			if d := world.server.Rules().DecideHost("new.example", 443); d.Allow {
				t.Error("an approval for once changed the policy")
			}
		})
	}
}

func TestApprovedForTheRunIsAskedOnce(t *testing.T) {
	up := newUpstream(t, false, true, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	o := &operator{}
	world := asking(t, o, up, egress.Limits{})
	o.answer = func(q ask.Question) ask.Answer {
		candidate := led(t, q, up)
		err := world.server.ChangePolicy(func(rules *policy.Rules) (policy.Set, error) {
			var route policy.Route
			if err := json.Unmarshal(candidate, &route); err != nil {
				return policy.Set{}, err
			}
			return rules.With(route)
		})
		if err != nil {
			t.Error(err)
		}
		return ask.Answer{Verdict: ask.Approved, Scope: ask.Run, Candidate: candidate}
	}
	client := world.client(t, false)
	for range 3 {
		if resp := get(t, client, "https://new.example/a"); resp.StatusCode != http.StatusOK || text(t, resp) != "hello" {
			t.Errorf("it came back with %d", resp.StatusCode)
		}
	}
	if n := len(o.questions()); n != 1 {
		t.Errorf("%d questions", n)
	}
	resp, err := client.Post("https://new.example/a", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n := len(o.questions()); n != 2 {
		t.Errorf("reading was approved, and writing went out with %d questions", n)
	}
}

func TestANoIsANoWithItsReason(t *testing.T) {
	up := newUpstream(t, false, true, func(http.ResponseWriter, *http.Request) {})
	for name, tc := range map[string]struct {
		answer func(ask.Question) ask.Answer
		want   string
	}{
		"rejected": {func(ask.Question) ask.Answer { return ask.Answer{Verdict: ask.Rejected, Reason: "use the mirror"} }, "the operator refused it: use the mirror"},
		"nobody":   {nil, "nobody answered within 1s"},
		"nonsense": {func(ask.Question) ask.Answer { return ask.Answer{} }, "the operator refused it"},
		"less than needed": {func(ask.Question) ask.Answer {
			return ask.Answer{Verdict: ask.Approved, Scope: ask.Once, Candidate: json.RawMessage(`{"host":"other.example","dlp":{}}`)}
		}, "approved less"},
		"no candidate": {func(ask.Question) ask.Answer { return ask.Answer{Verdict: ask.Approved, Scope: ask.Once} }, "no route names this host"},
		"for the run, and not put into force": {func(q ask.Question) ask.Answer {
			return ask.Answer{Verdict: ask.Approved, Scope: ask.Run, Candidate: q.Candidate}
		}, "approved less"},
	} {
		t.Run(name, func(t *testing.T) {
			world := asking(t, &operator{answer: tc.answer}, up, egress.Limits{})
			resp := get(t, world.client(t, false), "https://new.example/a")
			if body := text(t, resp); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, tc.want) {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	if n := len(up.requests()); n != 0 {
		t.Errorf("%d requests went out", n)
	}
}

func TestWhatMustNotBeOfferedIsRefusedWithoutAsking(t *testing.T) {
	up := newUpstream(t, false, true, func(http.ResponseWriter, *http.Request) {})
	o := &operator{answer: func(q ask.Question) ask.Answer {
		return ask.Answer{Verdict: ask.Approved, Scope: ask.Once, Candidate: q.Candidate}
	}}
	world := asking(t, o, up, egress.Limits{})
	for _, a := range []attempt{
		{connect: "10.0.0.1"}, {connect: "169.254.169.254"}, {connect: "127.0.0.2"}, {connect: "provider.example"},
		{connect: "new.example", method: "TRACE"}, {connect: "new.example", target: "/a/git-receive-pack"},
	} {
		if got := sendConnect(t, world, a); got.status == 200 {
			t.Errorf("%+v went out", a)
		}
		if got := sendTLS(t, world, a); got.status == 200 {
			t.Errorf("%+v went out", a)
		}
	}
	for _, q := range o.questions() {
		if !strings.Contains(q.Title, "git-receive-pack") { // that is a question about the host
			t.Errorf("asked %q", q.Title)
		}
	}
	if n := len(up.requests()); n != 0 {
		t.Errorf("%d requests went out", n)
	}
}

func TestWhatWaitsIsBoundedAndEndsWithItsClient(t *testing.T) {
	o := &operator{}
	world := newWorld(t, setup{
		ask: o, names: names{"new.example"}, limits: egress.Limits{Held: 2},
		set: policy.Set{OnDeny: policy.OnDenyAsk, AskSeconds: 600},
	})
	ctx, leave := context.WithCancel(t.Context())
	client := world.client(t, false)
	var waiting sync.WaitGroup
	for range 2 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://new.example/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		waiting.Go(func() {
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
				t.Errorf("it came back with %d", resp.StatusCode)
			}
		})
	}
	eventually(t, func() bool { return len(o.questions()) == 2 })
	if resp := get(t, client, "https://new.example/"); resp.StatusCode != http.StatusForbidden || !strings.Contains(text(t, resp), "too many requests wait") {
		t.Errorf("the third came back with %d", resp.StatusCode)
	}
	leave()
	waiting.Wait()
	eventually(t, func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.left == 2 })
}

// eventually waits for what another goroutine brings about.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it does not come about")
		}
	}
}

func TestWithoutAskingNothingIsHeld(t *testing.T) {
	o := &operator{}
	world := newWorld(t, setup{ask: o, names: names{"new.example"}, set: policy.Set{}})
	if got := sendConnect(t, world, attempt{connect: "new.example"}); got.status != 403 || len(o.questions()) != 0 {
		t.Errorf("%d, %d questions", got.status, len(o.questions()))
	}
	if got := sendTLS(t, world, attempt{connect: "new.example"}); got.status != 403 || len(o.questions()) != 0 {
		t.Errorf("%d, %d questions", got.status, len(o.questions()))
	}
}

func TestARefusalNamesTheToolWhereThereIsOne(t *testing.T) {
	for _, tc := range []struct {
		name string
		ask  ask.Asker
		want string
	}{
		{"the agent may ask", &operator{}, "egress-block"},
		{"it may not", nil, "tell the person you work for"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, setup{ask: tc.ask, names: names{"new.example"}, set: policy.Set{}})
			for _, send := range []func(*testing.T, *world, attempt) outcome{sendConnect, sendTLS} {
				got := send(t, w, attempt{connect: "new.example"})
				var refusal egress.Refusal
				if err := json.Unmarshal([]byte(got.body), &refusal); err != nil || got.status != 403 || len(refusal.NextSteps) != 2 || !strings.Contains(refusal.NextSteps[1], tc.want) {
					t.Errorf("%d, %v: %s", got.status, err, got.body)
				}
			}
		})
	}
}

func TestAClientThatWaitsForTheServerIsNotHeldLong(t *testing.T) {
	world := newWorld(t, setup{
		ask: &operator{}, names: names{"new.example"}, limits: egress.Limits{FirstByte: time.Hour},
		set: policy.Set{OnDeny: policy.OnDenyAsk, AskSeconds: 600},
	})
	conn := world.dial(t, world.to(t, "new.example", 443))
	_, err := io.ReadAll(conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("it is still open: %v", err)
	}
}

func TestWhatWritesIsOneQuestionPerMethodAndPath(t *testing.T) {
	o := &operator{answer: func(ask.Question) ask.Answer { return ask.Answer{Verdict: ask.Rejected} }}
	w := asking(t, o, newUpstream(t, false, true, echo), egress.Limits{})
	for _, a := range []attempt{
		{method: "GET", target: "/a"}, {method: "HEAD", target: "/b"},
		{method: "POST", target: "/a"}, {method: "POST", target: "/a?b=c"}, {method: "POST", target: "/b"}, {method: "DELETE", target: "/a"},
	} {
		a.connect = "new.example"
		if got := sendTLS(t, w, a); got.status != 403 {
			t.Fatalf("%+v: %d", a, got.status)
		}
	}
	keys := map[string]int{}
	for _, q := range o.questions() {
		keys[q.Key+string(q.Candidate)]++
	}
	if len(keys) != 4 {
		t.Errorf("six requests, two of them reads and two alike, are %d questions: %v", len(keys), keys)
	}
}
