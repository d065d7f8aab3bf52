//go:build linux

package gitgate

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"golang.org/x/crypto/ssh"
)

// sshUpstream speaks SSH itself, so that the key stays in this process's memory, the host key is
// compared with the pinned one and nothing else, and no file of the host's settings is read. The
// connection is kept for the conversations that follow soon.
type sshUpstream struct {
	name   string
	remote remote
	config *ssh.ClientConfig
	pinned bool
	dial   Dialer

	mu   sync.Mutex // guards what follows; not held while dialling
	kept *ssh.Client
	end  *time.Timer
}

const (
	sshTimeout = 20 * time.Second
	sshIdle    = 30 * time.Second
)

func newSSH(r plan.GitRepo, to remote, key secret.String, dial Dialer) (*sshUpstream, error) {
	signer, err := ssh.ParsePrivateKey([]byte(key.Reveal() + "\n"))
	if err != nil {
		return nil, keyProblem(r.Key, err)
	}
	user := to.user
	if user == "" {
		user = "git"
	}
	u := &sshUpstream{name: r.Name, remote: to, dial: dial, pinned: r.HostKey != ""}
	u.config = &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: sshTimeout, ClientVersion: "SSH-2.0-bot-bottle",
		HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return errors.New("no host key is pinned") },
	}
	if !u.pinned {
		return u, nil
	}
	host, err := parseHostKey(r.HostKey)
	if err != nil {
		return nil, err
	}
	u.config.HostKeyAlgorithms = algorithms(host.Type())
	u.config.HostKeyCallback = func(_ string, _ net.Addr, got ssh.PublicKey) error {
		if !bytes.Equal(got.Marshal(), host.Marshal()) {
			return &hostKeyError{ssh.FingerprintSHA256(got), ssh.FingerprintSHA256(host)}
		}
		return nil
	}
	return u, nil
}

// hostKeyError says that somebody else answers at the host's address.
type hostKeyError struct{ got, want string }

func (e *hostKeyError) Error() string {
	return fmt.Sprintf("its host key %s is not the pinned one, %s: somebody else answers, or the key was changed; nothing was sent", e.got, e.want)
}

func parseHostKey(line string) (ssh.PublicKey, error) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return nil, errors.New("its host_key is not a line of known_hosts")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return nil, errors.New("its host_key cannot be read")
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil || key.Type() != fields[1] {
		return nil, errors.New("its host_key cannot be read")
	}
	return key, nil
}

// algorithms are the signatures that a host key of a type can make.
func algorithms(kind string) []string {
	if kind == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{kind}
}

func (u *sshUpstream) use(ctx context.Context, service string, do func(link) error) error {
	if !u.pinned {
		port := ""
		if u.remote.port != "22" {
			port = "-p " + u.remote.port + " "
		}
		return fault.New(fault.Denied, "no host key is declared for %s, so nothing is fetched or pushed; the operator finds it with: ssh-keyscan %s%s, checks it, and writes the line as host_key",
			u.remote.host, port, u.remote.host)
	}
	client, err := u.connect(ctx)
	if err != nil {
		return fmt.Errorf("cannot reach %s: %w", u.remote.host, err)
	}
	session, err := client.NewSession()
	if err != nil { // the kept connection has ended
		u.drop(client)
		if client, err = u.connect(ctx); err == nil {
			session, err = client.NewSession()
		}
		if err != nil {
			return fmt.Errorf("cannot reach %s: %w", u.remote.host, err)
		}
	}
	defer session.Close()
	defer u.keep(client)
	_ = session.Setenv("GIT_PROTOCOL", "version=2") // a server that does not accept it speaks the older one
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	said := &tail{}
	session.Stderr = said
	if err := session.Start(service + " '" + strings.ReplaceAll(u.remote.path, "'", `'\''`) + "'"); err != nil {
		return fmt.Errorf("cannot start %s on %s: %w", service, u.remote.host, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = session.Close() })
	defer stop()
	err = converse(ctx, in, out, do)
	_ = session.Close()
	_ = session.Wait()
	if text := said.String(); err != nil && text != "" {
		return &remoteError{err, text}
	}
	return err
}

// remoteError adds what the remote said.
type remoteError struct {
	error

	said string
}

func (e *remoteError) Error() string { return e.said }
func (e *remoteError) Unwrap() error { return e.error }

// connect returns the kept connection or a new one.
func (u *sshUpstream) connect(ctx context.Context) (*ssh.Client, error) {
	u.mu.Lock()
	kept := u.kept
	if kept != nil {
		u.kept = nil
		u.end.Stop()
	}
	u.mu.Unlock()
	if kept != nil {
		return kept, nil
	}
	ctx, cancel := context.WithTimeout(ctx, sshTimeout)
	defer cancel()
	address := net.JoinHostPort(u.remote.host, u.remote.port)
	conn, err := u.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c, channels, requests, err := ssh.NewClientConn(conn, address, u.config)
	if err != nil {
		_ = conn.Close()
		var wrong *hostKeyError
		switch {
		case errors.As(err, &wrong):
			return nil, wrong
		case strings.Contains(err.Error(), "unable to authenticate"):
			return nil, errors.New("it does not accept the key: it has expired, was revoked, or has no access to the repository")
		}
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// keep puts a connection aside for the next conversation.
func (u *sshUpstream) keep(c *ssh.Client) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.kept != nil {
		_ = c.Close()
		return
	}
	u.kept = c
	u.end = time.AfterFunc(sshIdle, func() { u.drop(c) })
}

// drop ends a connection, and forgets it where it was kept.
func (u *sshUpstream) drop(c *ssh.Client) {
	u.mu.Lock()
	if u.kept == c {
		u.kept = nil
	}
	u.mu.Unlock()
	_ = c.Close()
}

func (u *sshUpstream) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.kept == nil {
		return nil
	}
	u.end.Stop()
	c := u.kept
	u.kept = nil
	return c.Close()
}
