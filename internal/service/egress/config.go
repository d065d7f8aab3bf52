package egress

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
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
	Ask         ask.Asker  // nil: nobody is asked, and what is refused stays so
	// HostGuard, which may be nil, says why a host that its route passes through unopened is not
	// connected to, or "".
	HostGuard func(route *policy.Route, host string, port uint16) string
	Audit     audit.Sink
	// Peers are reached by their names on the sidecar's own address and through the proxy.
	Peers map[string]Peer
	// Roots are trusted for upstreams; nil means the system's.
	Roots *x509.CertPool
	// OwnAddresses are those of the sidecar's interfaces; nil asks the system once.
	OwnAddresses []netip.Addr
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: discarded; for defects only, what was decided goes to Audit
}
