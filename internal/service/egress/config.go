package egress

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/ca"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// Config is what the proxy enforces. The zero value of every limit means its default.
type Config struct {
	Policy policy.Set `json:"policy"`
	Limits Limits     `json:"limits"`
}

// Limits bound what one bottle can hold of the sidecar.
type Limits struct {
	Connections    int           `json:"connections,omitempty"`      // at once, from the bottle; 1024
	HeaderBytes    int           `json:"header_bytes,omitempty"`     // of one head, both ways; 64 KiB
	Streams        uint32        `json:"streams,omitempty"`          // of one HTTP/2 connection; 250
	FirstByte      time.Duration `json:"first_byte,omitempty"`       // for a client to begin; 10 s
	FirstByteDeny  time.Duration `json:"first_byte_deny,omitempty"`  // the same where the destination is refused; 1 s
	Head           time.Duration `json:"head,omitempty"`             // for a head once it began; 30 s
	Idle           time.Duration `json:"idle,omitempty"`             // between requests; 5 min
	Stall          time.Duration `json:"stall,omitempty"`            // within a body or a tunnel; 10 min
	Dial           time.Duration `json:"dial,omitempty"`             // resolve, connect and TLS; 20 s
	ResponseHead   time.Duration `json:"response_head,omitempty"`    // until the upstream answers; 15 min
	PooledIdle     time.Duration `json:"pooled_idle,omitempty"`      // of a connection to the upstream; 60 s
	PooledPerRoute int           `json:"pooled_per_route,omitempty"` // kept per route, host and port; 32
}

func (l Limits) withDefaults() Limits {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&l.FirstByte, 10*time.Second)
	def(&l.FirstByteDeny, time.Second)
	def(&l.Head, 30*time.Second)
	def(&l.Idle, 5*time.Minute)
	def(&l.Stall, 10*time.Minute)
	def(&l.Dial, 20*time.Second)
	def(&l.ResponseHead, 15*time.Minute)
	def(&l.PooledIdle, time.Minute)
	if l.Connections == 0 {
		l.Connections = 1024
	}
	if l.HeaderBytes == 0 {
		l.HeaderBytes = 64 << 10
	}
	if l.Streams == 0 {
		l.Streams = 250
	}
	if l.PooledPerRoute == 0 {
		l.PooledPerRoute = 32
	}
	return l
}

// Listener is one way into the proxy.
type Listener struct {
	net.Listener
	// Destination says where an accepted connection meant to go. ok is false where it meant the
	// listener itself: then it speaks to an explicit proxy. An unspecified address with a port
	// means that only the port is known, and the name must come from SNI or Host (a backend whose
	// resolver answers every name with one address). nil means an explicit proxy.
	Destination func(net.Conn) (dst netip.AddrPort, ok bool)
}

// Credentials finds the value of a token by its reference.
// It must be fast: it is asked for every request. An error refuses the request.
type Credentials interface {
	Token(ref string) (secret.String, error)
}

// Names tells which allowed name the resolver gave a synthetic address for.
type Names interface {
	NameOf(netip.Addr) (name string, ok bool)
}

// Resolver finds the real addresses of an allowed host; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Deps are what the proxy works with.
type Deps struct {
	Listeners   []Listener
	CA          *ca.CA
	Credentials Credentials
	Names       Names
	Resolver    Resolver   // nil: the system's
	Inspectors  Inspectors // nil: nothing is inspected
	Audit       audit.Sink
	// Roots are trusted for upstreams; nil means the system's.
	Roots *x509.CertPool
	// OwnAddresses are those of the sidecar's interfaces; nil asks the system once.
	OwnAddresses []netip.Addr
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: discarded; for defects only, what was decided goes to Audit
}
