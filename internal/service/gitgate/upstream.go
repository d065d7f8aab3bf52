//go:build linux

package gitgate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"golang.org/x/sys/unix"
)

// upstream is how a remote is reached. Git itself never dials and never holds a key.
type upstream interface {
	// use opens one conversation with a service of the remote and calls do with what git needs to
	// take part in it.
	use(ctx context.Context, service string, do func(link) error) error
	io.Closer
}

// link is git's end of a conversation.
type link struct {
	url    string
	env    []string
	files  []*os.File
	online bool
}

// Dialer reaches an address.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// newUpstream chooses by the URL's scheme.
func newUpstream(r plan.GitRepo, key secret.String, dial Dialer, roots *tls.Config) (upstream, error) {
	if dial == nil {
		dial = dialUpstream
	}
	dial = known(r.Hosts, dial)
	remote, err := parseRemote(r.URL)
	if err != nil {
		return nil, err
	}
	if remote.scheme == "https" {
		return newHTTPS(r, remote, key, dial, roots)
	}
	return newSSH(r, remote, key, dial)
}

// remote is a URL taken apart.
type remote struct{ scheme, user, host, port, path string }

// parseRemote reads "ssh://[user@]host[:port]/path", "[user@]host:path" and "https://host[:port]/path".
func parseRemote(written string) (remote, error) {
	if !strings.Contains(written, "://") {
		front, path, _ := strings.Cut(written, ":")
		user, host, found := strings.Cut(front, "@")
		if !found {
			user, host = "", front
		}
		return remote{scheme: "ssh", user: user, host: host, port: "22", path: path}, nil
	}
	u, err := url.Parse(written)
	if err != nil {
		return remote{}, errors.New("its URL cannot be read")
	}
	r := remote{scheme: u.Scheme, user: u.User.Username(), host: u.Hostname(), port: u.Port(), path: u.Path}
	switch {
	case r.scheme != "ssh" && r.scheme != "https":
		return remote{}, fmt.Errorf("a remote of the kind %q is not reached", r.scheme)
	case r.port == "" && r.scheme == "ssh":
		r.port = "22"
	case r.port == "":
		r.port = "443"
	}
	return r, nil
}

// known dials the declared address of a name where there is one.
func known(hosts map[string]netip.Addr, dial Dialer) Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if addr, ok := hosts[strings.ToLower(host)]; ok {
			address = net.JoinHostPort(addr.String(), port)
		}
		return dial(ctx, network, address)
	}
}

// dialUpstream dials an address of the name, never one of a cloud's metadata service. The name is
// the operator's, so private addresses are not refused.
func dialUpstream(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if policy.MetadataAddress(to.Addr().Unmap().WithZone("")) {
			return errors.New("it is the address of a metadata service")
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// converse gives git one end of a socket and copies between the other and a stream.
func converse(ctx context.Context, in io.WriteCloser, out io.Reader, do func(link) error) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot make a socket for git: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[0]), "git's end")
	file := os.NewFile(uintptr(fds[1]), "our end")
	ours, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		_ = theirs.Close()
		return fmt.Errorf("cannot make a socket for git: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = ours.Close() })
	defer stop()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.Copy(in, ours)
		_ = in.Close()
	}()
	received := make(chan struct{})
	go func() {
		defer close(received)
		_, _ = io.Copy(ours, out)
		if c, ok := ours.(*net.UnixConn); ok {
			_ = c.CloseWrite()
		}
	}()
	err = do(link{url: "fd::3", files: []*os.File{theirs}})
	_ = theirs.Close()
	_ = ours.Close()
	<-sent
	if err != nil {
		return err
	}
	select { // what the remote still says belongs to a conversation that is over
	case <-received:
	case <-ctx.Done():
	}
	return nil
}
