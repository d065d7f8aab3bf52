package ask

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"
)

// State is where a proposal stands.
type State string

// The states. Only Pending can change, and it changes once.
const (
	Pending   State = "pending"
	Granted   State = "approved"  // as it was proposed
	Modified  State = "modified"  // approved after the operator edited the candidate
	Refused   State = "rejected"  //
	Lapsed    State = "expired"   // nobody answered in time
	Withdrawn State = "withdrawn" // whoever asked went away
	Failed    State = "failed"    // approved, and could not be put into force
)

// Open reports whether the proposal still waits for a person.
func (s State) Open() bool { return s == Pending }

// Proposal is a question in the operator's inbox, and what became of it.
type Proposal struct {
	// ID is "<identity>/<n>", unique over all bottles.
	ID       string `json:"id"`
	Question        // what was asked
	State    State  `json:"state"`
	// Effect is what an approval would change now, computed from what is in force.
	Effect []Fact `json:"effect,omitempty"`
	// Digest stands for everything that was shown; a decision names it.
	Digest    string    `json:"digest"`
	AskedAt   time.Time `json:"asked_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: with the bottle
	DecidedAt time.Time `json:"decided_at,omitzero"`
	// Held is how many requests wait for the answer at this moment.
	Held   int     `json:"held"`
	Answer *Answer `json:"answer,omitempty"`
	// Applied is true once an approval for the run is in force; Filed once one for always is in
	// the bottle's file, too.
	Applied bool `json:"applied,omitempty"`
	Filed   bool `json:"filed,omitempty"`
	// Revoked is true once the operator has taken back what was approved for longer.
	Revoked bool   `json:"revoked,omitempty"`
	Problem string `json:"problem,omitempty"` // why it failed
}

// Decision is what the operator says to a proposal.
type Decision struct {
	ID      string  `json:"id"`
	Digest  string  `json:"digest"` // of the proposal as it was seen
	Verdict Verdict `json:"verdict"`
	Scope   Scope   `json:"scope,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	// Candidate is set where the operator edited it.
	Candidate json.RawMessage `json:"candidate,omitempty"`
}

// Digest stands for a question and its effect, byte for byte.
func Digest(q Question, effect []Fact) string {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	if err := errors.Join(enc.Encode(q), enc.Encode(effect)); err != nil {
		return "" // matches nothing: Decide refuses an empty digest
	}
	sum := sha256.Sum256(text.Bytes())
	return hex.EncodeToString(sum[:])
}
