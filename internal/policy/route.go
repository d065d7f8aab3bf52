// Package policy says what may leave a bottle: routes as data and one function that decides.
//
// Its one rule: it is pure. No I/O, no clock, no state; every way in asks the same question here
// and gets the same answer.
package policy

import "net/netip"

// Set is the whole egress policy of one bottle. The zero value denies everything.
type Set struct {
	Routes []Route `json:"routes"`
	// Log is how much the audit log says of a request: "summary" or "full".
	Log string `json:"log,omitempty"`
	// UpstreamProxy references the URL of a proxy to dial through (a secret: it may hold
	// credentials); "" means none. The form is that of Auth.TokenRef, or "literal:URL".
	UpstreamProxy string `json:"upstream_proxy,omitempty"`
	// OnDeny says what becomes of a request that only lacks a route.
	OnDeny OnDeny `json:"on_deny,omitempty"`
	// AskSeconds is how long such a request is held; 0 means DefaultAskSeconds.
	AskSeconds int    `json:"ask_seconds,omitempty"`
	Limits     Limits `json:"limits,omitzero"`
	// Observe lets through, and tells, what is refused for want of a route alone. No route of the
	// set may have a credential then.
	Observe bool `json:"observe,omitempty"`
}

// DefaultAskSeconds is how long the operator has to decide on a request that is held.
const DefaultAskSeconds = 60

// OnDeny is what becomes of a request that only lacks a route. The zero value means OnDenyRefuse.
type OnDeny string

// The ways to deny.
const (
	OnDenyRefuse OnDeny = "refuse"
	OnDenyAsk    OnDeny = "ask" // it is held until the operator has decided
)

// Route is one allowed destination.
type Route struct {
	// Host is canonical: lower case, IDNA, no trailing dot; or "*.example.org", which covers
	// every name below example.org and not example.org itself; or an IP address.
	Host string `json:"host"`
	// Ports that may be reached; empty means 443 and 80.
	Ports []uint16 `json:"ports,omitempty"`
	// Protocol of the ports; the zero value means ProtocolHTTP.
	Protocol Protocol `json:"protocol,omitempty"`
	// Matches limit requests; entries are alternatives, the fields of one must all hold.
	// Empty means everything on the host.
	Matches []Match `json:"matches,omitempty"`
	// Auth is the credential that is put in, or nil.
	Auth *Auth   `json:"auth,omitempty"`
	TLS  TLSMode `json:"tls,omitempty"`
	// AllowPrivate are non-public ranges that the host may resolve to.
	AllowPrivate []netip.Prefix `json:"allow_private,omitempty"`
	Git          GitMode        `json:"git,omitempty"`
	// ConnectTo is "host:port" or "ip:port" to dial instead; name, SNI and certificate check stay.
	ConnectTo string `json:"connect_to,omitempty"`
	// UpstreamCA is PEM, trusted for this host besides the system's roots.
	UpstreamCA string `json:"upstream_ca,omitempty"`
	DLP        DLP    `json:"dlp"`
	// Owner is the provider that brought the route, or "" for the manifest's own.
	Owner string `json:"owner,omitempty"`
}

// Protocol says what is spoken on a route's ports.
type Protocol string

// The protocols. ProtocolTCP carries bytes that are not looked into, such as a database's, to one
// host on the ports that the route names; the verdict rests on host and port alone.
const (
	ProtocolHTTP Protocol = "http"
	ProtocolTCP  Protocol = "tcp"
)

// Name tells the routes of one manifest apart: the host, and "/tcp" behind it for a tcp route.
func (route *Route) Name() string {
	if route.Protocol == ProtocolTCP {
		return route.Host + "/tcp"
	}
	return route.Host
}

// TLSMode says whether TLS to a host is opened.
type TLSMode string

// The TLS modes. The zero value means TLSIntercept.
const (
	TLSIntercept   TLSMode = "intercept"
	TLSPassthrough TLSMode = "passthrough"
)

// GitMode says whether git may speak HTTPS to a host without the gate.
type GitMode string

// The git modes. The zero value means GitNone.
const (
	GitNone  GitMode = "none"
	GitFetch GitMode = "fetch"
)

// Match limits a route to some requests; an empty field does not limit.
type Match struct {
	Paths   []PathMatch   `json:"paths,omitempty"`
	Methods []string      `json:"methods,omitempty"` // upper case
	Headers []HeaderMatch `json:"headers,omitempty"` // all must hold
}

// PathMatch compares the canonical path (without the query).
// A prefix "/a/" covers "/a/" and below; a prefix "/a" covers "/a", "/a/b" and "/ab";
// a regex is RE2 and must match the whole path.
type PathMatch struct {
	Type  string `json:"type"` // "prefix" | "exact" | "regex"
	Value string `json:"value"`
}

// HeaderMatch holds when a header of that name (case-insensitive) has exactly that value.
type HeaderMatch struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Auth describes a credential without its value.
type Auth struct {
	// Scheme is "Bearer", "token", "basic" (needs Username) or "header" (needs Name).
	Scheme   string `json:"scheme"`
	Username string `json:"username,omitempty"`
	Name     string `json:"name,omitempty"`
	// TokenRef names the value: a host variable, "file:PATH", "cmd:COMMAND" or "keyring:SERVICE/USER".
	TokenRef string `json:"token_ref"`
}

// DLP are the scan settings of a route. Empty detectors mean the defaults.
type DLP struct {
	Outbound []string `json:"outbound_detectors,omitempty"`
	Inbound  []string `json:"inbound_detectors,omitempty"`
	OnMatch  string   `json:"outbound_on_match,omitempty"` // "block" | "redact" | "supervise"
	// InboundOnMatch is "alarm", also where it is empty, or "block".
	InboundOnMatch string `json:"inbound_on_match,omitempty"`
	// Allow lists findings that pass, with what they are part of.
	Allow []Allowance `json:"allow,omitempty"`
	// OutboundOff and InboundOff are set where the manifest says false.
	OutboundOff bool `json:"outbound_off,omitempty"`
	InboundOff  bool `json:"inbound_off,omitempty"`
}
