package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// The names of the listeners, as the sidecar knows them.
const (
	TCP4  = "tcp4"
	TCP6  = "tcp6"
	DNS4  = "dns-udp4"
	DNS6  = "dns-udp6"
	DNST4 = "dns-tcp4"
	DNST6 = "dns-tcp6"
)

// backlog of a listener: an agent opens hundreds of connections at once.
const backlog = 1024

// Listener is a bound socket, on loopback or at the end of a link.
type Listener struct {
	Name string
	Port uint16
	File *os.File
}

// Listeners are those of one bottle.
type Listeners []Listener

// Listen binds the listeners of the sidecar to free ports of 127.0.0.1 and ::1. Redirected
// packets arrive at these addresses; see NF_NAT_RANGE in the kernel's nf_nat_redirect.
func Listen() (Listeners, error) {
	return listenAt(netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback())
}

func listenAt(v4, v6 netip.Addr) (Listeners, error) {
	var all Listeners
	for _, one := range []struct {
		name           string
		domain, socket int
	}{
		{TCP4, unix.AF_INET, unix.SOCK_STREAM},
		{TCP6, unix.AF_INET6, unix.SOCK_STREAM},
		{DNS4, unix.AF_INET, unix.SOCK_DGRAM},
		{DNS6, unix.AF_INET6, unix.SOCK_DGRAM},
		{DNST4, unix.AF_INET, unix.SOCK_STREAM},
		{DNST6, unix.AF_INET6, unix.SOCK_STREAM},
	} {
		at := v4
		if one.domain == unix.AF_INET6 {
			at = v6
		}
		l, err := listen(one.name, at, one.domain, one.socket)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot listen for %s: %w", one.name, err), all.Close())
		}
		all = append(all, l)
	}
	return all, nil
}

func listen(name string, at netip.Addr, domain, socket int) (l Listener, err error) {
	fd, err := unix.Socket(domain, socket|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return l, err
	}
	l = Listener{Name: name, File: os.NewFile(uintptr(fd), name)}
	defer func() {
		if err != nil {
			_ = l.File.Close()
		}
	}()
	var address unix.Sockaddr
	if domain == unix.AF_INET {
		address = &unix.SockaddrInet4{Addr: at.As4()}
	} else {
		if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return l, err
		}
		address = &unix.SockaddrInet6{Addr: at.As16()}
	}
	if err := unix.Bind(fd, address); err != nil {
		return l, err
	}
	if socket == unix.SOCK_STREAM {
		if err := unix.Listen(fd, backlog); err != nil {
			return l, err
		}
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return l, err
	}
	switch a := bound.(type) {
	case *unix.SockaddrInet4:
		l.Port = uint16(a.Port)
	case *unix.SockaddrInet6:
		l.Port = uint16(a.Port)
	}
	return l, nil
}

// Close closes this process's copies.
func (ls Listeners) Close() error {
	var errs []error
	for _, l := range ls {
		errs = append(errs, l.File.Close())
	}
	return errors.Join(errs...)
}

// Names in the order of the listeners.
func (ls Listeners) Names() []string {
	var names []string
	for _, l := range ls {
		names = append(names, l.Name)
	}
	return names
}

func (ls Listeners) port(name string) uint16 {
	for _, l := range ls {
		if l.Name == name {
			return l.Port
		}
	}
	return 0
}
