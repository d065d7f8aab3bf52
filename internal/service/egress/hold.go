package egress

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// held bounds the requests that wait for the operator.
type held struct{ now atomic.Int64 }

func (h *held) take(limit int) bool {
	if h.now.Add(1) > int64(limit) {
		h.now.Add(-1)
		return false
	}
	return true
}

func (h *held) give() { h.now.Add(-1) }

// asks reports whether a request that is refused so may be put to the operator: the policy says
// that it is asked, there is somebody who asks, and it is a plain miss of the allowlist.
func (s *Server) asks(rules *policy.Rules, d policy.Decision) bool {
	return s.deps.Ask != nil && d.Approvable && rules.Set().OnDeny == policy.OnDenyAsk
}

// hold keeps a refused request until the operator has decided, and returns what it may go out
// under. The verdict is always policy's, on the request as it was asked about.
func (x *exchange) hold(ctx context.Context, g *generation, a *arrival, asked policy.Request, d policy.Decision) (*generation, *policy.Route, *Refusal) {
	refusal := x.s.refusalOf(d)
	if !x.s.asks(g.rules, d) {
		return nil, nil, refusal
	}
	route, ok := g.rules.Missing(asked)
	if !ok {
		return nil, nil, refusal
	}
	if !x.s.held.take(x.s.limits.Held) {
		return nil, nil, unanswered(refusal, "too many requests wait for the operator already")
	}
	defer x.s.held.give()
	question, err := questionOf(a, asked, d, route)
	if err != nil {
		return nil, nil, refusal
	}
	limit := time.Duration(cmp.Or(g.rules.Set().AskSeconds, policy.DefaultAskSeconds)) * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := x.s.deps.Ask.Ask(ctx, question)
	switch {
	case err != nil:
		return nil, nil, unanswered(refusal, "the operator could not be asked: "+err.Error())
	case answer.Verdict == ask.Expired:
		return nil, nil, unanswered(refusal, fmt.Sprintf("the operator was asked and nobody answered within %s", limit))
	case answer.Verdict != ask.Approved:
		return nil, nil, rejected(refusal, answer.Reason)
	}
	return x.approved(asked, answer, refusal)
}

// approved decides again: for the run under the rules that are in force now, and for once under
// those and the approved route, for this request alone.
func (x *exchange) approved(asked policy.Request, answer ask.Answer, refusal *Refusal) (*generation, *policy.Route, *Refusal) {
	g := x.s.current.Load()
	if answer.Scope == ask.Once {
		var route policy.Route
		if err := json.Unmarshal(answer.Candidate, &route); err != nil {
			return nil, nil, refusal
		}
		set, err := g.rules.With(route)
		if err != nil {
			return nil, nil, refusal
		}
		rules, err := policy.Compile(set)
		if err != nil {
			return nil, nil, refusal
		}
		g = newGeneration(rules)
		x.once = g
	}
	decision := g.rules.Decide(asked)
	if !decision.Allow {
		return nil, nil, unanswered(x.s.refusalOf(decision), "the operator approved less than this request needs")
	}
	return g, decision.Route, nil
}

func questionOf(a *arrival, asked policy.Request, d policy.Decision, route policy.Route) (ask.Question, error) {
	candidate, err := json.Marshal(route)
	if err != nil {
		return ask.Question{}, err
	}
	scheme := "http"
	if a.tls {
		scheme = "https"
	}
	return ask.Question{
		Kind:      ask.Route,
		Key:       keyOf(asked),
		Title:     fmt.Sprintf("%s %s://%s%s", asked.Method(), scheme, canonicalAuthority(asked.Host(), a), shown(asked.Target().Path)),
		Facts:     []ask.Fact{{Name: "held because", Value: d.Reason}, {Name: "came in", Value: a.via}},
		Candidate: candidate,
		Scopes:    []ask.Scope{ask.Once, ask.Run, ask.Always},
	}, nil
}

// keyOf makes requests one question: those that read from one host and port, and those that write
// only where method and path are the same, so that an approval of what is held lets no other write
// through than its question shows.
func keyOf(asked policy.Request) string {
	key := net.JoinHostPort(asked.Host(), strconv.Itoa(int(asked.Port())))
	if policy.Reads(asked.Method()) {
		return key
	}
	sum := sha256.Sum256([]byte(asked.Method() + " " + asked.Target().Path)) // a path has no bound that a key wants
	return key + "#" + hex.EncodeToString(sum[:16])
}

func unanswered(r *Refusal, why string) *Refusal {
	r.Reason += "; " + why
	return r
}

// rejected is what the agent reads after a person said no.
func rejected(r *Refusal, reason string) *Refusal {
	r.Reason = "the operator refused it"
	if reason = strings.TrimSpace(reason); reason != "" {
		r.Reason += ": " + reason
	}
	r.Guidance = "A person looked at this request and said no. Do not retry it, and do not look for another way to the same thing."
	r.NextSteps = []string{"do what the operator's reason says", "or go on without it"}
	r.Approvable = false
	return r
}

// silentHeld bounds how long a client may take to begin whose destination is refused and will be
// asked about: who waits for the server to speak first waits for nothing.
const silentHeld = 2 * time.Second

// patienceFor is how long a client may take to begin, by what its destination may come to.
func (s *Server) patienceFor(name string, port uint16) (allowed bool, wait time.Duration) {
	if name == "" {
		return true, s.limits.FirstByte
	}
	rules := s.current.Load().rules
	d := rules.DecideHost(name, port)
	switch {
	case d.Allow:
		return true, s.limits.FirstByte
	case s.asks(rules, d):
		return false, min(s.limits.FirstByte, max(silentHeld, s.limits.FirstByteDeny))
	}
	return false, s.limits.FirstByteDeny
}
