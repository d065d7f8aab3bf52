package desk_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// table is a kind that counts what is put into force.
type table struct {
	mu      sync.Mutex // guards the rest
	state   string
	refuse  error
	fail    error
	applied []string
}

func (k *table) Effect(candidate json.RawMessage) ([]ask.Fact, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return []ask.Fact{{Name: "now", Value: k.state}, {Name: "then", Value: string(candidate)}}, k.refuse
}

func (k *table) Apply(candidate json.RawMessage) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail == nil {
		k.applied = append(k.applied, string(candidate))
	}
	return k.fail
}

func open(t testing.TB, path string, kind *table) *desk.Desk {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	d, err := desk.New(desk.Config{ID: "api-abcde"}, desk.Deps{Journal: f, Kinds: map[ask.Kind]desk.Kind{ask.Route: kind}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func question(key string) ask.Question {
	return ask.Question{
		Kind: ask.Route, Key: key, Title: "GET https://" + key + "/", Words: "I need it",
		Candidate: json.RawMessage(`{"host":"` + key + `"}`), Scopes: []ask.Scope{ask.Once, ask.Run, ask.Always},
	}
}

// asked puts a question in the background and returns it once it is open.
func asked(t testing.TB, d *desk.Desk, ctx context.Context, q ask.Question) (ask.Proposal, <-chan ask.Answer) { //nolint:revive // the test comes first
	t.Helper()
	answers := make(chan ask.Answer, 1)
	go func() {
		a, err := d.Ask(ctx, q)
		if err != nil {
			a.Reason = "error: " + err.Error()
		}
		answers <- a
	}()
	for s := (desk.Snapshot{}); ; {
		for _, p := range s.Proposals {
			if p.Key == q.Key && p.State.Open() {
				return p, answers
			}
		}
		if s = d.Snapshot(t.Context(), s.Revision); t.Context().Err() != nil {
			t.Fatal("the question is not open")
		}
	}
}

func approve(p ask.Proposal, scope ask.Scope) ask.Decision {
	return ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: scope}
}

func TestSeveralAskersOfOneThingAreOneQuestion(t *testing.T) {
	kind := &table{}
	d := open(t, filepath.Join(t.TempDir(), "p.jsonl"), kind)
	p, first := asked(t, d, t.Context(), question("a.example"))
	answers := []<-chan ask.Answer{first}
	for range 99 {
		_, a := asked(t, d, t.Context(), question("a.example"))
		answers = append(answers, a)
	}
	for s := d.Snapshot(t.Context(), 0); s.Proposals[0].Held < 100; s = d.Snapshot(t.Context(), s.Revision) {
		if len(s.Proposals) != 1 {
			t.Fatalf("there are %d questions", len(s.Proposals))
		}
	}
	if _, err := d.Decide(approve(p, ask.Run)); err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if got := <-a; got.Verdict != ask.Approved || string(got.Candidate) != `{"host":"a.example"}` {
			t.Errorf("the answer is %+v", got)
		}
	}
	if len(kind.applied) != 1 {
		t.Errorf("it was applied as %q", kind.applied)
	}
}

func TestAnotherCandidateIsAnotherQuestion(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "p.jsonl"), &table{})
	first, _ := asked(t, d, t.Context(), question("a.example"))
	other := question("a.example")
	other.Candidate = json.RawMessage(`{"host":"*.example"}`)
	p, err := d.Submit(other, 0)
	if err != nil || p.ID == first.ID {
		t.Errorf("the other candidate is %s, %v", p.ID, err)
	}
}

func TestADecisionIsAboutWhatWasSeenOrNothing(t *testing.T) {
	kind := &table{state: "closed"}
	d := open(t, filepath.Join(t.TempDir(), "p.jsonl"), kind)
	p, answers := asked(t, d, t.Context(), question("a.example"))
	other, _ := asked(t, d, t.Context(), question("b.example"))
	change := func(edit func(*ask.Decision)) ask.Decision {
		by := approve(p, ask.Run)
		edit(&by)
		return by
	}
	for what, tc := range map[string]struct {
		by   ask.Decision
		kind fault.Kind
	}{
		"another's digest":        {change(func(by *ask.Decision) { by.Digest = other.Digest }), fault.Denied},
		"no digest":               {change(func(by *ask.Decision) { by.Digest = "" }), fault.Invalid},
		"another bottle's id":     {change(func(by *ask.Decision) { by.ID = "api-zzzzz/1" }), fault.NotFound},
		"no such number":          {change(func(by *ask.Decision) { by.ID = "api-abcde/9" }), fault.NotFound},
		"a scope not offered":     {change(func(by *ask.Decision) { by.Scope = "for ever" }), fault.Invalid},
		"no scope":                {change(func(by *ask.Decision) { by.Scope = "" }), fault.Invalid},
		"a verdict not offered":   {change(func(by *ask.Decision) { by.Verdict = ask.Expired }), fault.Invalid},
		"an edit that is no text": {change(func(by *ask.Decision) { by.Candidate = json.RawMessage(`{`) }), fault.Invalid},
	} {
		if _, err := d.Decide(tc.by); !fault.Is(err, tc.kind) {
			t.Errorf("%s: got %v, want kind %s", what, err, tc.kind)
		}
	}
	kind.mu.Lock()
	kind.state = "half open"
	kind.mu.Unlock()
	if _, err := d.Decide(approve(p, ask.Run)); !fault.Is(err, fault.Denied) {
		t.Errorf("what it would do has changed, and it is decided: %v", err)
	}
	if len(kind.applied) != 0 {
		t.Fatalf("it was applied: %q", kind.applied)
	}
	again, err := d.Proposal(p.ID)
	if err != nil || again.Digest == p.Digest {
		t.Fatalf("the digest has not changed: %v", err)
	}
	if _, err := d.Decide(ask.Decision{ID: p.ID, Digest: again.Digest, Verdict: ask.Rejected, Reason: "no need"}); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.Verdict != ask.Rejected || a.Reason != "no need" {
		t.Errorf("the answer is %+v", a)
	}
	if _, err := d.Decide(approve(again, ask.Run)); !fault.Is(err, fault.Exists) {
		t.Errorf("a replayed approval gives %v", err)
	}
}

func TestAnEditedCandidateIsJudgedAndApplied(t *testing.T) {
	kind := &table{}
	d := open(t, filepath.Join(t.TempDir(), "p.jsonl"), kind)
	p, answers := asked(t, d, t.Context(), question("a.example"))
	by := approve(p, ask.Run)
	by.Candidate = json.RawMessage(` {"host": "narrow.a.example"} `)
	out, err := d.Decide(by)
	if err != nil || out.State != ask.Modified {
		t.Fatalf("%+v, %v", out, err)
	}
	if a := <-answers; string(a.Candidate) != `{"host":"narrow.a.example"}` || kind.applied[0] != string(a.Candidate) {
		t.Errorf("the answer is %+v, applied %q", a, kind.applied)
	}
}

func TestWhatMustNotBeOfferedIsNeverAsked(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "p.jsonl"), &table{refuse: fault.New(fault.Denied, "an address of the host")})
	if _, err := d.Ask(t.Context(), question("a.example")); !fault.Is(err, fault.Denied) {
		t.Errorf("got %v", err)
	}
	if n := len(d.Snapshot(t.Context(), 0).Proposals); n != 0 {
		t.Errorf("there are %d questions", n)
	}
}

func TestTimeAndDeparture(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := open(t, filepath.Join(dir, "p.jsonl"), &table{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if a, err := d.Ask(ctx, question("a.example")); err != nil || a.Verdict != ask.Expired {
			t.Errorf("after its time: %+v, %v", a, err)
		}
		gone, leave := context.WithCancel(t.Context())
		_, answers := asked(t, d, gone, question("b.example"))
		leave()
		if a := <-answers; !strings.Contains(a.Reason, context.Canceled.Error()) {
			t.Errorf("after it went away: %+v", a)
		}
		if _, err := d.Submit(question("c.example"), time.Hour); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) // the bubble's clock
		synctest.Wait()
		states := map[string]ask.State{}
		for _, p := range d.Snapshot(t.Context(), 0).Proposals {
			states[p.Key] = p.State
			if _, err := d.Decide(approve(p, ask.Run)); !fault.Is(err, fault.Exists) {
				t.Errorf("%s can be decided: %v", p.Key, err)
			}
		}
		want := map[string]ask.State{"a.example": ask.Lapsed, "b.example": ask.Withdrawn, "c.example": ask.Lapsed}
		for key, state := range want {
			if states[key] != state {
				t.Errorf("%s is %s, want %s", key, states[key], state)
			}
		}
	})
}

func TestAnAgentCannotBuryItsOperator(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "p.jsonl"), &table{})
	var refused error
	for i := 0; refused == nil && i < 100; i++ {
		q := question("h" + strings.Repeat("x", i) + ".example")
		q.Words = strings.Repeat("please \x1b[2J", 100_000)
		_, refused = d.Submit(q, 0)
	}
	if !fault.Is(refused, fault.Denied) {
		t.Errorf("got %v", refused)
	}
	s := d.Snapshot(t.Context(), 0)
	enc, err := json.Marshal(s.Proposals)
	if err != nil || len(s.Proposals) != 32 || len(enc) > 4<<20 {
		t.Errorf("%d proposals of %d bytes, %v", len(s.Proposals), len(enc), err)
	}
	q := question("big.example")
	q.Candidate, _ = json.Marshal(strings.Repeat("x", 1<<20))
	if _, err := d.Submit(q, 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("a candidate of a megabyte gives %v", err)
	}
}

func TestNothingIsLostOrDoneTwiceWhereverItIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.jsonl")
	d := open(t, path, &table{})
	held, _ := asked(t, d, t.Context(), question("held.example"))
	waits, err := d.Submit(question("waits.example"), 0)
	if err != nil {
		t.Fatal(err)
	}
	yes, err := d.Submit(question("yes.example"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decide(approve(yes, ask.Always)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Filed(yes.ID), d.Filed(yes.ID)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.jsonl")
	for end := range len(raw) + 1 {
		if err := os.WriteFile(cut, raw[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		whole := string(raw[:end])
		decided := strings.Contains(whole[:strings.LastIndexByte(whole, '\n')+1], `"event":"decided"`)
		filed := strings.Contains(whole[:strings.LastIndexByte(whole, '\n')+1], `"event":"filed"`)
		kind := &table{}
		d := open(t, cut, kind)
		if (len(kind.applied) == 1) != (decided && !filed) || len(kind.applied) > 1 {
			t.Fatalf("cut at %d of %d: applied %q, decided %v", end, len(raw), kind.applied, decided)
		}
		for _, p := range d.Snapshot(t.Context(), 0).Proposals {
			switch {
			case p.ID == held.ID && p.State != ask.Withdrawn,
				p.ID == waits.ID && p.State != ask.Pending,
				p.ID == yes.ID && decided && (p.State != ask.Granted || !p.Applied),
				p.ID == yes.ID && !decided && p.State != ask.Pending:
				t.Fatalf("cut at %d of %d: %s is %s", end, len(raw), p.ID, p.State)
			}
		}
		lines := strings.Count(string(must(os.ReadFile(cut))), "\n")
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		again := &table{}
		d = open(t, cut, again)
		if len(again.applied) != len(kind.applied) {
			t.Fatalf("cut at %d: the next start applied %q", end, again.applied)
		}
		if now := strings.Count(string(must(os.ReadFile(cut))), "\n"); now != lines {
			t.Fatalf("cut at %d: a start that changes nothing wrote %d lines", end, now-lines)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestADeadBottleIsReadFromItsJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.jsonl")
	d := open(t, path, &table{})
	asked(t, d, t.Context(), question("held.example"))
	if _, err := d.Submit(question("waits.example"), 0); err != nil {
		t.Fatal(err)
	}
	all, err := desk.Read(path, "api-abcde")
	if err != nil || len(all) != 2 || all[0].Key != "waits.example" || !all[0].State.Open() || all[1].State != ask.Withdrawn {
		t.Errorf("%+v, %v", all, err)
	}
	if none, err := desk.Read(path+".none", "api-abcde"); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

func TestAFailureToApplyIsNoApproval(t *testing.T) {
	kind := &table{fail: errors.New("it cannot be")}
	d := open(t, filepath.Join(t.TempDir(), "p.jsonl"), kind)
	p, answers := asked(t, d, t.Context(), question("a.example"))
	if out, err := d.Decide(approve(p, ask.Run)); err == nil || out.State != ask.Failed {
		t.Errorf("%+v, %v", out, err)
	}
	if a := <-answers; a.Verdict == ask.Approved {
		t.Errorf("the answer is %+v", a)
	}
}
