// Package gate is the process that carries the git gate: beside the sidecar, because it starts
// real git programs and writes files, which the sidecar has given up.
//
// Its one rule: it lives exactly as long as its owner and its sidecar, and what it can reach is
// its own directory, the mirrors of its repositories and the network of git's remotes.
package gate

import "github.com/bot-bottle/bot-bottle/internal/service/gitgate"

// The descriptors that the owner hands to `bot-bottle gate`. ControlFD is a stream socket to the
// owner: one Setup comes, one Ready goes, and its end ends the gate. LinkFD is a connection to the
// sidecar, on which package wire says what is spoken.
const (
	ControlFD = 3
	LinkFD    = 4
)

// Setup is what the owner tells a gate. It is the only message that holds values.
type Setup struct {
	Config gitgate.Config `json:"config"`
	// Word is what the sidecar knows the gate by.
	Word string `json:"word"`
	// Keys are private keys and tokens by the repository's name.
	Keys map[string]string `json:"keys"`
	// Sign is the private key that commits are signed with; "" for none.
	Sign string `json:"sign,omitempty"`
	// Known are the bottle's secrets by reference, and Canaries what stands for one in the bottle:
	// none of them may be pushed.
	Known    map[string]string `json:"known"`
	Canaries []string          `json:"canaries"`
	// Asks says that the sidecar takes questions for the operator.
	Asks bool `json:"asks"`
}

// Ready is the answer: what the gate gave up, or why it does not serve.
type Ready struct {
	Fences  []string `json:"fences"`
	Problem string   `json:"problem,omitempty"`
	Hint    string   `json:"hint,omitempty"`
}
