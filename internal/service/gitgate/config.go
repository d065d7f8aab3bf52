// Package gitgate is the way of source code: a git server for the declared repositories, in front
// of their upstreams, that scans what is pushed before it goes on.
//
// Its one rule: nothing reaches an upstream that was not looked at to the end, and nothing is
// served that its upstream does not have.
package gitgate

import (
	"io"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// Config is what the gate serves. It is data and holds no secret.
type Config struct {
	ID string `json:"identity"`
	// Dir is the run's own directory: what is pushed lies there until it was looked at.
	Dir string `json:"dir"`
	// Git is the program's absolute path.
	Git   string         `json:"git"`
	Repos []plan.GitRepo `json:"repos"`
	// Name and Email are the bottle's identity; Trailer is what every pushed commit has to end with.
	Name    string `json:"name,omitempty"`
	Email   string `json:"email,omitempty"`
	Trailer string `json:"trailer,omitempty"`
}

// Finding is what a Scanner saw, without the value.
type Finding struct {
	Rule        string
	Steps       []string // decodings that led to it
	Offset      int64
	Fingerprint string // the same for the same value; tells nothing of it
	Known       bool   // a secret of the bottle itself
}

// Scanner looks at one text from its beginning to its end. An error means that it could not,
// which refuses the push.
type Scanner interface {
	Scan(r io.Reader) ([]Finding, error)
}
