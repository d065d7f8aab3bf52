package control

import (
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// The references of values that every bottle has.
const (
	CanaryRef = "bot-bottle:canary" // bait, which nobody has a reason to send
	KeyRef    = "bot-bottle:key"    // keys the fingerprints of findings
)

// Config is what the sidecar enforces. It is data and holds no secret.
type Config struct {
	ID     instance.ID `json:"identity"`
	Egress policy.Set  `json:"egress"`
	// SecretNames are the references whose values come beside the Config.
	SecretNames []string `json:"secret_names"`
	// Guarded are the references of further values that come beside the Config. They are never put
	// into a request; they are known so that they do not leave: "env:NAME" for a variable of the
	// agent's, "host:NAME" for one of the host's, CanaryRef and KeyRef.
	Guarded []string `json:"guarded,omitempty"`
	// Placeholders are what the agent holds in the place of credentials. Where one leaves on a
	// route that is not its provider's, somebody tries a credential elsewhere: an alarm.
	Placeholders []string `json:"placeholders,omitempty"`
	// Supervise is set where a person may be asked. Else what would be held for one is refused.
	Supervise bool `json:"supervise,omitempty"`
	// Capability is what the bottle is made of, where the agent may ask for more of that.
	Capability Capability `json:"capability,omitzero"`
	// GitGate is the word by which the process of the git gate is known when it joins; "" where the
	// bottle has none. A bottle with a gate ends with it.
	GitGate string `json:"git_gate,omitempty"`
	// Audit is where the chain of a log that is there already stands; nil: the log is empty.
	Audit *audit.Head `json:"audit,omitempty"`
}

// Ready is the sidecar's answer once it serves.
type Ready struct {
	CACertificate string   `json:"ca_certificate"` // PEM
	PID           int      `json:"pid"`
	Fences        []string `json:"fences"` // what it gave up: "landlock ABI 7", "seccomp", …
}

// Setup configures a sidecar: its Config, and the values of Config.SecretNames and Config.Guarded
// by reference. Besides Renewal it is the only message that holds values.
type Setup struct {
	Config  Config            `json:"config"`
	Secrets map[string]string `json:"secrets"`
}

// Capability is what a bottle is made of. The zero value is a bottle that is as it is.
type Capability struct {
	Form       string        `json:"form,omitempty"`       // plan.ByDockerfile or plan.ByPackages
	Dockerfile string        `json:"dockerfile,omitempty"` // the one in use
	Packages   []ask.Package `json:"packages,omitempty"`   // what was added to it
}

// Renewal is the new value of a reference that the sidecar has: the next request that needs it gets
// it, and what is looked for in requests and kept out of the log knows both.
type Renewal struct {
	Ref   string `json:"ref"`
	Value string `json:"value"`
}

// Live is the policy in force. Each change gives it the next revision.
type Live struct {
	Revision uint64     `json:"revision"`
	Egress   policy.Set `json:"egress"`
}

// Stats tell what a sidecar has done so far.
type Stats struct {
	UptimeSeconds float64 `json:"uptime_seconds"`
	Routes        int     `json:"routes"`
	Allowed       int64   `json:"allowed"` // audited verdicts
	Denied        int64   `json:"denied"`
	Alarms        int64   `json:"alarms"`
	// DeniedBy are the denials by the layer that made them.
	DeniedBy map[string]int64 `json:"denied_by"`
	// Requests are the connections and requests among them, without lookups of names; Refused is
	// how many of those were denied.
	Requests int64 `json:"requests"`
	Refused  int64 `json:"refused"`
	// Pending is how many proposals wait for a person.
	Pending int `json:"pending"`
	// LastAt is when the agent last asked for anything; zero: never.
	LastAt        time.Time `json:"last_at,omitzero"`
	SentBytes     int64     `json:"sent_bytes"`
	ReceivedBytes int64     `json:"received_bytes"`
	ResidentBytes int64     `json:"resident_bytes"`
	Open          int       `json:"open"` // questions that wait for the operator
}
