// Package sidecar is the trusted process beside one bottle: it joins the services, holds the CA
// key and the tokens, and answers the control API.
//
// Its one rule: when any part of it dies, all of it dies, and the bottle has no network.
package sidecar

import "github.com/bot-bottle/bot-bottle/internal/sidecar/control"

// The descriptors that a backend hands to `bot-bottle sidecar`.
//
// ControlFD is a stream socket to the owner; the first message on it configures the sidecar, and
// its end ends the sidecar. ListenersFD is a unix socket on which one message brings the
// listeners by SCM_RIGHTS; its payload is the JSON array of their names, in the descriptors'
// order. AuditFD is audit.jsonl, opened for appending. StatusFD is a unix listener for
// other processes of the operator (log -f, routes, list); it lies where no bottle reaches.
// ProposalsFD is supervise/proposals.jsonl, opened for reading and appending.
const (
	ControlFD   = 3
	ListenersFD = 4
	AuditFD     = 5
	StatusFD    = 6
	ProposalsFD = 7
)

// Names of the listeners that are handed over.
const (
	ListenTCP4  = "tcp4"     // every redirected TCP connection; SO_ORIGINAL_DST tells where to
	ListenTCP6  = "tcp6"     // the same, IP6T_SO_ORIGINAL_DST
	ListenDNS4  = "dns-udp4" // UDP port 53 of any address
	ListenDNS6  = "dns-udp6"
	ListenDNST4 = "dns-tcp4" // TCP port 53 of any address
	ListenDNST6 = "dns-tcp6"
)

// Config is what the sidecar enforces. It is data and holds no secret.
type Config = control.Config

// Ready is the sidecar's answer once it serves.
type Ready = control.Ready
