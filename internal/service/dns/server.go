// Package dns is the resolver of one bottle: it answers the names that a route allows with
// addresses that lead to the sidecar, and everything else with "does not exist".
//
// Its one rule: no query ever leaves from here. Nothing in this package dials.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"golang.org/x/sync/errgroup"
)

// Config says which addresses the answers come from.
type Config struct {
	// SidecarNames are the sidecar's own, lower case without a trailing dot, first the one that
	// a reverse lookup of Sidecar4 and Sidecar6 answers.
	SidecarNames []string
	Sidecar4     netip.Addr
	Sidecar6     netip.Addr
	// Synthetic4 and Synthetic6 are the ranges of the answers; the first 256 addresses of each
	// are never given out.
	Synthetic4 netip.Prefix
	Synthetic6 netip.Prefix
	// MaxWildcardNames bounds the names below wildcards that get an address; 0 means 8192.
	MaxWildcardNames int
}

// Deps are what the resolver needs from the process around it.
type Deps struct {
	Packets []*net.UDPConn
	Streams []net.Listener
	// Allowed reports whether a route covers the name, which is canonical.
	Allowed func(name string) bool
	// Asked reports whether a name that no route covers gets an address all the same: what
	// connects there is asked about. nil means that none does.
	Asked func(name string) bool
	// Named reports whether a route spells the name out. Such names get an address even when
	// names below wildcards have used up theirs.
	Named func(name string) bool
	// Refused, which may be nil, says of an allowed name why it is not answered all the same, and
	// under which name that is written down: its labels may be what must not be seen.
	Refused func(name string) (shown, reason string)
	Audit   audit.Sink
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Server answers queries. Its methods are safe for concurrent use.
type Server struct {
	deps    Deps
	config  Config
	own     map[string]bool
	pool    *pool
	denials *denials
}

// New checks the configuration; it opens nothing.
func New(config Config, deps Deps) (*Server, error) {
	if deps.Allowed == nil || deps.Named == nil || deps.Audit == nil {
		return nil, errors.New("cannot make a resolver: Allowed, Named and Audit are needed")
	}
	if !config.Sidecar4.Is4() || !config.Sidecar6.Is6() || len(config.SidecarNames) == 0 {
		return nil, errors.New("cannot make a resolver: the sidecar needs a name and an address of each family")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if config.MaxWildcardNames == 0 {
		config.MaxWildcardNames = 8192
	}
	pool, err := newPool(config.Synthetic4, config.Synthetic6, config.MaxWildcardNames)
	if err != nil {
		return nil, fmt.Errorf("cannot make a resolver: %w", err)
	}
	own := make(map[string]bool, len(config.SidecarNames))
	for _, name := range config.SidecarNames {
		own[name] = true
	}
	return &Server{
		deps: deps, config: config, own: own, pool: pool,
		denials: newDenials(deps.Audit, deps.Now),
	}, nil
}

// NameOf returns the name that was answered with addr in this run.
func (s *Server) NameOf(addr netip.Addr) (string, bool) {
	addr = addr.Unmap()
	if addr == s.config.Sidecar4 || addr == s.config.Sidecar6 {
		return s.config.SidecarNames[0], true
	}
	return s.pool.nameOf(addr)
}

// Run serves until ctx ends, which is no error, or a socket fails. It closes the sockets.
func (s *Server) Run(ctx context.Context, ready func()) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, s.closeSockets)
	defer stop()
	for _, conn := range s.deps.Packets {
		if err := askDestinations(conn); err != nil {
			s.closeSockets()
			return fmt.Errorf("cannot serve DNS on %s: %w", conn.LocalAddr(), err)
		}
	}
	for _, conn := range s.deps.Packets {
		group.Go(func() error { return s.servePackets(ctx, conn) })
	}
	slots := make(chan struct{}, maxStreams)
	for _, listener := range s.deps.Streams {
		group.Go(func() error { return s.serveStreams(ctx, listener, slots) })
	}
	group.Go(func() error { return s.denials.run(ctx) })
	ready()
	return group.Wait()
}

func (s *Server) closeSockets() {
	for _, conn := range s.deps.Packets {
		conn.Close()
	}
	for _, listener := range s.deps.Streams {
		listener.Close()
	}
}
