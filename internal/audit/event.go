// Package audit is the record of one run: what went out, what was refused and why, and what the
// operator did.
//
// Its one rule: append only, one JSON line an event, each chained to the one before by its hash, and
// never the value of a secret.
package audit

import "time"

// Event is one line of audit.jsonl. Fields that do not apply are left out.
type Event struct {
	Time time.Time `json:"time"` // UTC
	// Kind is "request", "connect", "dns", "proposal", "lifecycle", "alarm", "note" or "seal".
	Kind string `json:"kind"`
	// Verdict is "allow" or "deny" for what was decided, "" otherwise.
	Verdict string `json:"verdict,omitempty"`
	// Layer that decided: "egress", "dns", "dlp", "address", "protocol", "git", "limit".
	Layer string `json:"layer,omitempty"`
	// Via is the way in: "transparent", "connect", "absolute", "socks5", "plain", "dns".
	Via    string `json:"via,omitempty"`
	Proto  string `json:"proto,omitempty"`  // "http/1.1", "h2", "websocket", "tls", "tcp", "udp"
	Scheme string `json:"scheme,omitempty"` // of a request: "https", "http"
	Method string `json:"method,omitempty"`
	Host   string `json:"host,omitempty"` // canonical, or escaped where it is not
	Port   uint16 `json:"port,omitempty"`
	Path   string `json:"path,omitempty"` // only where egress.log is full, or where it was refused; no query values
	// Rule is the route that allowed it, or what was missing.
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"`
	Status int    `json:"status,omitempty"` // HTTP status sent to the agent
	// Would is "deny" for what only a bottle that observes let through; Reason and Rule say why.
	Would string `json:"would,omitempty"`
	// Injected names the reference of the credential that was put in.
	Injected string   `json:"injected,omitempty"`
	Headers  []string `json:"headers,omitempty"` // names only, where egress.log is full
	Sent     int64    `json:"sent,omitempty"`    // body bytes to upstream
	Received int64    `json:"received,omitempty"`
	Millis   float64  `json:"ms,omitempty"`
	Message  string   `json:"message,omitempty"`
	// Before and After are the routes that a change of the policy took away and brought, in words.
	Before []string `json:"before,omitempty"`
	After  []string `json:"after,omitempty"`

	// N and Hash are the line's place in the chain. They are the log's own: what a caller puts
	// there is dropped.
	N    uint64 `json:"n,omitempty"`
	Hash string `json:"hash,omitempty"`
}

// Asked reports whether the agent asked for a connection or a request with it, rather than for a
// name, or something else happened.
func (e Event) Asked() bool { return e.Kind == "request" || e.Kind == "connect" }

// Kinds are all there are, in the order to explain them.
func Kinds() []string {
	return []string{"request", "connect", "dns", "proposal", "lifecycle", "alarm", "note", "seal"}
}

// Sink takes events. Record must not block on the reader of the log and is safe for concurrent use.
type Sink interface{ Record(Event) }
