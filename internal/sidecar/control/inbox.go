package control

import (
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
)

// LongestWait is after how long a wait for a change is answered with what there is.
const LongestWait = 20 * time.Second

// ProposalsQuery asks for the inbox; Since is the revision that the asker has, or 0.
type ProposalsQuery struct {
	Since uint64 `json:"since,omitempty"`
}

// Proposals is the inbox of one bottle: what is open, the oldest first, and then what was decided
// last. Of what is decided, candidates that are long are left out.
type Proposals struct {
	Revision  uint64         `json:"revision"`
	Proposals []ask.Proposal `json:"proposals"`
}

// ProposalRef names a proposal.
type ProposalRef struct {
	ID string `json:"id"`
}
