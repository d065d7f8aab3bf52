package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// patience is how long a value is held for the operator.
const patience = 300 * time.Second

// approval is what the operator let through: one value, found by one rule, to one host.
type approval struct {
	Host        string `json:"host"`
	Rule        string `json:"rule"`
	Fingerprint string `json:"fingerprint"`
}

// approvals hold until the bottle ends.
type approvals struct {
	mu  sync.Mutex // guards all
	all map[approval]bool
}

func (a *approvals) add(more []approval) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[approval]bool{}
	}
	for _, one := range more {
		a.all[one] = true
	}
}

func (a *approvals) has(one approval) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[one]
}

// certain are findings that no allowance and no person lets through: bait, and what could not be
// looked at.
func certain(f dlp.Finding) bool {
	return f.Rule == "canary" || strings.HasPrefix(f.Rule, "limit-") || f.Rule == dlp.RuleCRLF
}

// redactable: a canary is taken out of a provider's conversation, where it comes to stand when an
// agent prints its environment; anywhere else somebody sends it.
func (x *inspection) redactable(f dlp.Finding) bool {
	return f.Rule != "canary" || x.owned()
}

// allows reports whether the manifest or the operator lets a finding pass.
func (x *inspection) allows(f dlp.Finding) bool {
	if certain(f) {
		return false
	}
	for _, a := range x.route.DLP.Allow {
		if a.Holds(f.Rule, f.Fingerprint, x.path) {
			x.alarms.note(x.head, "let pass by dlp.allow", f)
			x.passed++
			return true
		}
	}
	one := approval{x.head.Host, f.Rule, f.Fingerprint}
	if slices.Contains(x.once, one) || x.approved.has(one) {
		x.passed++
		return true
	}
	return false
}

// decide ends what holds a secret, or asks the operator where the route says so. It is asked only
// about what cannot be redacted on a route that redacts.
func (x *inspection) decide(ctx context.Context, found []dlp.Finding) error {
	for _, f := range found {
		if f.Rule == "canary" {
			x.alarms.alarm(x.head, "the canary was sent in "+f.Place, f)
		}
	}
	if x.mode != supervise || slices.ContainsFunc(found, certain) {
		return x.refuse(found, "")
	}
	if x.asker == nil {
		return x.refuse(found, "; nobody can be asked about it, so it is blocked")
	}
	return x.question(ctx, found)
}

// question holds the request until the operator answers. It tells rule, place and fingerprint,
// and nothing of the value.
func (x *inspection) question(ctx context.Context, found []dlp.Finding) error {
	var asked []approval
	var facts []ask.Fact
	for _, f := range found {
		one := approval{x.head.Host, f.Rule, f.Fingerprint}
		if slices.Contains(asked, one) {
			continue
		}
		asked = append(asked, one)
		facts = append(facts, ask.Fact{Name: "finding", Value: describe(f)})
	}
	candidate, err := json.Marshal(asked)
	if err != nil { // strings always marshal
		return x.refuse(found, "")
	}
	key := x.head.Host + " " + string(candidate)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := x.asker.Ask(ctx, ask.Question{
		Kind: ask.Value, Key: key, Candidate: candidate, Scopes: []ask.Scope{ask.Once, ask.Run},
		Title: fmt.Sprintf("%s to %s holds what looks like a secret (%s)", x.head.Method, x.head.Host, dlp.Names(found)),
		Facts: append([]ask.Fact{{Name: "host", Value: x.head.Host + ":" + strconv.Itoa(int(x.head.Port))}, {Name: "route", Value: x.route.Host}}, facts...),
	})
	switch {
	case err != nil:
		return x.refuse(found, "; the operator was asked and gave no answer")
	case answer.Verdict == ask.Expired:
		return x.refuse(found, "; the operator did not answer in time")
	case answer.Verdict != ask.Approved:
		why := "; the operator refused it"
		if answer.Reason != "" {
			why += ": " + answer.Reason
		}
		return x.blocked(found, why, false)
	case !bytes.Equal(answer.Candidate, candidate):
		return x.refuse(found, "; the operator's answer is to another question")
	}
	if answer.Scope == ask.Run {
		x.approved.add(asked)
	} else {
		x.once = append(x.once, asked...)
	}
	for _, f := range found {
		x.alarms.note(x.head, "let pass by the operator, "+string(answer.Scope), f)
	}
	return nil
}

func describe(f dlp.Finding) string {
	text := fmt.Sprintf("%s in %s, %d bytes, fingerprint %s", f.Rule, f.Place, f.Length, f.Fingerprint)
	if len(f.Steps) > 0 {
		text += ", after decoding " + strings.Join(f.Steps, ", ")
	}
	return text
}

// refuse turns findings into the answer that the agent reads. It never holds what was found.
func (x *inspection) refuse(found []dlp.Finding, why string) error {
	return x.blocked(found, why, x.asker != nil && !slices.ContainsFunc(found, certain))
}

// blocked is refuse; offer says whether the agent may put the value to the operator.
func (x *inspection) blocked(found []dlp.Finding, why string, offer bool) error {
	names, first := dlp.Names(found), found[0]
	x.refused.add(x.head.Host, found)
	reason := fmt.Sprintf("%s holds what looks like a secret (%s)", first.Place, names)
	guidance := "A secret is not sent to this host. A credential for an API is put in by the sidecar: send the request without it."
	if strings.HasPrefix(first.Rule, "limit-") {
		reason = fmt.Sprintf("%s cannot be looked at to its end (%s)", first.Place, names)
		guidance = "What cannot be scanned is not sent. Send it plain, or with less compression and fewer encodings on top of each other."
	}
	if len(first.Steps) > 0 {
		reason += ", after decoding " + strings.Join(first.Steps, ", ")
	}
	if first.Fingerprint != "" {
		reason += ", fingerprint " + first.Fingerprint
	}
	step := "if it is no secret, tell the operator the rule, the fingerprint and the host"
	if offer && first.Fingerprint != "" {
		step = `if it is no secret, call the tool egress-token-allow of the MCP server "supervise" with the fingerprint and the host, and say why: its operator decides`
	}
	return &egress.Blocked{
		Private: !strings.HasPrefix(first.Place, "the request's body"),
		Layer:   "dlp", Reason: reason + why, Rule: names, Guidance: guidance,
		NextSteps: []string{"take the value out of the request", step},
	}
}
