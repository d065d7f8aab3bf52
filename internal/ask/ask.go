// Package ask is the vocabulary of questions: what a service holds until a person decides, and
// what a person can answer.
//
// Its one rule: an answer belongs to the exact candidate that was shown, byte for byte; to any
// other it means nothing.
package ask

import (
	"context"
	"encoding/json"
)

// Kind says what a question is about.
type Kind string

// The kinds. Refusals of address ranges and of metadata addresses are none of them: they are never
// put to a person.
const (
	Route      Kind = "route"      // a destination that no route allows; the candidate is a policy.Route
	Value      Kind = "value"      // a value that the scanner holds back; the candidate is its fingerprint and place
	Push       Kind = "push"       // a push that the git gate holds back; the candidate is its findings
	Capability Kind = "capability" // another Dockerfile or list of packages; the candidate is the new text
)

// Question is one thing to decide. What is computed and what the agent claims are kept apart.
type Question struct {
	Kind Kind `json:"kind"`
	// Key makes questions equal: while one is open, another of the same kind and key waits for its answer.
	Key string `json:"key"`
	// Title is one line that we computed, such as "GET https://api.example.org/v1/items".
	Title string `json:"title"`
	// Facts are what we computed, in the order to show them.
	Facts []Fact `json:"facts,omitempty"`
	// Words are the agent's own. Whoever shows them escapes and truncates them.
	Words string `json:"words,omitempty"`
	// Candidate is what an approval would put into force.
	Candidate json.RawMessage `json:"candidate,omitempty"`
	// Scopes are the answers that can be given; empty means Once only.
	Scopes []Scope `json:"scopes,omitempty"`
}

// Fact is a name and its value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Scope says how long an approval lasts.
type Scope string

// The scopes.
const (
	Once   Scope = "once"   // what is held now, and nothing after it
	Run    Scope = "run"    // until the bottle ends
	Always Scope = "always" // also in the bottle's file
)

// Verdict is how a question ended.
type Verdict string

// The verdicts. Only Approved lets anything through.
const (
	Approved Verdict = "approved"
	Rejected Verdict = "rejected"
	Expired  Verdict = "expired" // nobody answered in time
)

// Answer is the end of a question.
type Answer struct {
	Verdict Verdict `json:"verdict"`
	Scope   Scope   `json:"scope,omitempty"`
	Reason  string  `json:"reason,omitempty"` // the operator's own words, for the agent to read
	// Candidate is what was approved: the question's own, or what the operator made of it.
	Candidate json.RawMessage `json:"candidate,omitempty"`
}

// Asker puts a question to the operator and waits, until ctx ends, for the answer. An error, as
// well as any verdict but Approved, means no.
type Asker interface {
	Ask(ctx context.Context, q Question) (Answer, error)
}
