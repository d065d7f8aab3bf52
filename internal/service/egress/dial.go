package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// headStart is how long one address is tried alone before the next (RFC 8305 §5).
const headStart = 250 * time.Millisecond

// addressError is the guard's refusal of every address of a host.
type addressError struct{ cause error }

func (e *addressError) Error() string { return e.cause.Error() }

// causeError is a failure towards the upstream with its class, as the agent reads it.
type causeError struct {
	class string // "resolve" | "connect" | "tls" | "proxy" | "protocol" | "timeout"
	cause error
}

func (e *causeError) Error() string { return e.cause.Error() }
func (e *causeError) Unwrap() error { return e.cause }

// dialer opens TCP connections to addresses that the guard has seen.
type dialer struct {
	resolver Resolver
	own      []netip.Addr
}

// open connects to host:port for the route: to its ConnectTo where it has one, else to the
// addresses the host resolves to now. What is checked is what is dialled.
func (d *dialer) open(ctx context.Context, route *policy.Route, host string, port uint16) (net.Conn, error) {
	guard := func(addr netip.Addr) error { return policy.AddressAllowed(addr, route, d.own) }
	if route.ConnectTo != "" {
		var err error
		if host, port, err = splitHostPort(route.ConnectTo); err != nil {
			return nil, &causeError{"resolve", fmt.Errorf("cannot use connect_to: %w", err)}
		}
		guard = neverMetadata // the operator wrote the address down; metadata stays closed
	}
	return d.openChecked(ctx, host, port, guard)
}

func neverMetadata(addr netip.Addr) error {
	if policy.MetadataAddress(addr) {
		return fmt.Errorf("cannot dial %s: it is a cloud metadata service", addr)
	}
	return nil
}

func (d *dialer) openChecked(ctx context.Context, host string, port uint16, guard func(netip.Addr) error) (net.Conn, error) {
	addrs, err := d.resolve(ctx, host)
	if err != nil {
		return nil, &causeError{"resolve", fmt.Errorf("cannot resolve %s: %w", host, plainly(err))}
	}
	var checked []netip.AddrPort
	var refused error
	for _, addr := range addrs {
		addr = addr.Unmap()
		if err := guard(addr); err != nil {
			refused = err
			continue
		}
		checked = append(checked, netip.AddrPortFrom(addr, port))
	}
	if len(checked) == 0 {
		if refused == nil {
			return nil, &causeError{"resolve", fmt.Errorf("cannot resolve %s: it has no address", host)}
		}
		return nil, &addressError{refused}
	}
	conn, err := race(ctx, interleave(checked))
	if err != nil {
		return nil, &causeError{class(err, "connect"), fmt.Errorf("cannot connect to %s: %w", host, err)}
	}
	return conn, nil
}

// plainly leaves out of a resolver's error which server of the host was asked.
func plainly(err error) error {
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return errors.New(lookup.Err)
	}
	return err
}

func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	return d.resolver.LookupNetIP(ctx, "ip", host)
}

// interleave alternates the families, beginning with the resolver's first choice.
func interleave(addrs []netip.AddrPort) []netip.AddrPort {
	var first, second, mixed []netip.AddrPort
	for _, a := range addrs {
		if a.Addr().Is4() == addrs[0].Addr().Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			mixed = append(mixed, first[i])
		}
		if i < len(second) {
			mixed = append(mixed, second[i])
		}
	}
	return mixed
}

// race tries the addresses one after another with a head start each, and keeps the first that
// connects. Every attempt has ended when it returns.
func race(ctx context.Context, addrs []netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(addrs) == 1 {
		return dialOne(ctx, addrs[0])
	}
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	started, ended := 0, 0
	start := func() {
		addr := addrs[started]
		started++
		go func() {
			conn, err := dialOne(ctx, addr)
			results <- result{conn, err}
		}()
	}
	start()
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	var won net.Conn
	var failed error
	for ended < started {
		select {
		case <-timer.C:
			if won == nil && started < len(addrs) {
				start()
				timer.Reset(headStart)
			}
		case r := <-results:
			ended++
			switch {
			case r.err == nil && won == nil:
				won = r.conn
				cancel()
			case r.err == nil:
				_ = r.conn.Close()
			case failed == nil:
				failed = r.err
			}
			if won == nil && started < len(addrs) && ctx.Err() == nil {
				start()
			}
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, failed
}

func dialOne(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 30 * time.Second}
	return d.DialContext(ctx, "tcp", addr.String())
}

func splitHostPort(s string) (string, uint16, error) {
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return "", 0, fmt.Errorf("%q has no port", s)
	}
	return host, uint16(port), nil
}

// class tells a timeout from any other failure.
func class(err error, otherwise string) string {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return "timeout"
	}
	return otherwise
}
