package gate_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// operator answers every question with what it was told, and keeps the questions.
type operator struct {
	answer ask.Answer

	mu    sync.Mutex // guards asked
	asked []ask.Question
}

func (o *operator) Ask(_ context.Context, q ask.Question) (ask.Answer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, q)
	a := o.answer
	if a.Candidate == nil {
		a.Candidate = q.Candidate
	}
	return a, nil
}

func TestAnInlineAllowIsAQuestion(t *testing.T) {
	marked := "key = '" + token() + "' # gitleaks:allow\n"
	t.Run("without an operator it is refused", func(t *testing.T) {
		w := open(t)
		dir := w.clone()
		w.commit(dir, "a", marked, "a")
		w.refused(dir, "does not pass by itself", "origin", own)
		gatetest.Git(t, dir, "reset", "-q", "--hard", "HEAD~1")
		w.commit(dir, "a", "key = '"+token()+"'\n", "a")
		w.commit(dir, ".gitleaksignore", "a:github-pat:1\n", "ignore it")
		w.refused(dir, "does not pass by itself", "origin", own)
	})
	t.Run("the operator decides", func(t *testing.T) {
		o := &operator{answer: ask.Answer{Verdict: ask.Rejected, Reason: "no"}}
		w := open(t, asks(o))
		dir := w.clone()
		w.commit(dir, "a", "key = '"+token()+"'\n", "a")
		w.refused(dir, "github-pat", "origin", own)
		if len(o.asked) != 0 {
			t.Fatalf("a push without a mark was asked about: %v", o.asked)
		}
		gatetest.Git(t, dir, "reset", "-q", "--hard", "HEAD~1")
		w.commit(dir, "a", marked, "a")
		if out := w.refused(dir, "rejected no", "origin", own); strings.Contains(out, "gitleaks-allow") {
			t.Errorf("after a rejection it is told to ask again: %s", out)
		}
		o.answer = ask.Answer{Verdict: ask.Approved, Candidate: []byte("[]")}
		if out := w.refused(dir, "for something else", "origin", own); !strings.Contains(out, "gitleaks-allow") {
			t.Errorf("it does not say how to ask: %s", out)
		}
		o.answer = ask.Answer{Verdict: ask.Approved}
		gatetest.Git(t, dir, "push", "-q", "origin", own)
		q := o.asked[len(o.asked)-1]
		if q.Kind != ask.Push || strings.Contains(string(q.Candidate), token()) || !strings.Contains(string(q.Candidate), `"file":"a"`) {
			t.Errorf("asked %+v", q)
		}
	})
	t.Run("nobody can let the bottle's own secret pass", func(t *testing.T) {
		o := &operator{answer: ask.Answer{Verdict: ask.Approved}}
		value := strings.Join([]string{"correct", "horse", "battery", "staple", "4711"}, "-")
		w := open(t, asks(o), knows(map[string]secret.String{"NPM": secret.New(value)}))
		dir := w.clone()
		w.commit(dir, "a", "password: "+value+" # gitleaks:allow\n", "a")
		if out := w.refused(dir, "known-secret:NPM", "origin", own); strings.Contains(out, value) {
			t.Error("the refusal repeats it")
		}
		if len(o.asked) != 0 {
			t.Errorf("asked %v", o.asked)
		}
	})
}
