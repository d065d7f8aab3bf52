// Package gatetest is an upstream for tests: bare repositories behind a real OpenSSH server on
// loopback, with keys of their own.
//
// Its one rule: every service that the server starts is counted, so that a test sees what reached
// the upstream.
package gatetest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"golang.org/x/crypto/ssh"
)

// Upstream is a running server.
type Upstream struct {
	Root    string // of the repositories
	Host    string // 127.0.0.1
	Port    string
	User    string
	Key     string // the private key's file
	HostKey string // a line of known_hosts

	t       testing.TB
	dir     string
	program string
	cmd     *exec.Cmd
}

// New starts a server; it ends with the test.
func New(t testing.TB) *Upstream {
	t.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd"
		_, err = os.Stat(program)
	}
	need.Require(t, need.SSHD, err)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	u := &Upstream{t: t, dir: t.TempDir(), program: program, User: me.Username, Host: "127.0.0.1"}
	u.Root = filepath.Join(u.dir, "repos")
	for _, d := range []string{u.Root, filepath.Join(u.dir, "log")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { //nolint:gosec // sshd of root wants it
			t.Fatal(err)
		}
	}
	key := u.makeKey("key")
	u.Key = filepath.Join(u.dir, "key")
	u.write("authorized_keys", fmt.Sprintf("restrict,command=%q %s", u.serve(), key), 0o600)
	host := u.makeKey("host")
	u.write("serve", "#!/bin/sh\necho \"$SSH_ORIGINAL_COMMAND\" >>"+u.dir+"/log/commands\nexec sh -c \"$SSH_ORIGINAL_COMMAND\"\n", 0o700)
	u.Start()
	u.HostKey = "[127.0.0.1]:" + u.Port + " " + strings.TrimSpace(host)
	return u
}

func (u *Upstream) serve() string { return filepath.Join(u.dir, "serve") }

func (u *Upstream) write(name, content string, mode os.FileMode) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(content), mode); err != nil {
		u.t.Fatal(err)
	}
}

// makeKey writes a private key and returns the line of its public one.
func (u *Upstream) makeKey(name string) string {
	u.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		u.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		u.t.Fatal(err)
	}
	u.write(name, string(pem.EncodeToMemory(block)), 0o600)
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		u.t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(line))
}

// PublicKey is the public half of Key, in the form of authorized_keys.
func (u *Upstream) PublicKey() string {
	u.t.Helper()
	text, err := os.ReadFile(u.Key)
	if err != nil {
		u.t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		u.t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// Authorize lets the holders of these public keys in, and nobody else.
func (u *Upstream) Authorize(lines ...string) {
	u.t.Helper()
	var all strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&all, "restrict,command=%q %s\n", u.serve(), line)
	}
	u.write("authorized_keys", all.String(), 0o600)
}

// Start runs the server, on its port where it had one.
func (u *Upstream) Start() {
	u.t.Helper()
	if u.Port == "" {
		l, err := (&net.ListenConfig{}).Listen(u.t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			u.t.Fatal(err)
		}
		_, u.Port, _ = net.SplitHostPort(l.Addr().String())
		_ = l.Close()
	}
	args := []string{"-D", "-e", "-f", "/dev/null"}
	for _, o := range []string{
		"ListenAddress=127.0.0.1", "Port=" + u.Port, "HostKey=" + u.dir + "/host", "AuthorizedKeysFile=" + u.dir + "/authorized_keys",
		"UsePAM=no", "StrictModes=no", "PasswordAuthentication=no", "KbdInteractiveAuthentication=no", "PermitRootLogin=prohibit-password", "PidFile=none",
		"SetEnv=SHLVL=5", "AcceptEnv=GIT_PROTOCOL", "MaxStartups=100",
	} {
		args = append(args, "-o", o)
	}
	cmd := exec.CommandContext(context.WithoutCancel(u.t.Context()), u.program, args...)
	log, err := os.OpenFile(filepath.Join(u.dir, "log", "sshd"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		u.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	u.cmd = cmd
	u.t.Cleanup(u.Stop)
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(u.t.Context(), "tcp", net.JoinHostPort(u.Host, u.Port))
		if err != nil {
			continue
		}
		greeting := make([]byte, 4)
		_ = conn.SetDeadline(deadline)
		_, err = conn.Read(greeting)
		_ = conn.Close()
		if err == nil && string(greeting) == "SSH-" {
			return
		}
	}
	text, _ := os.ReadFile(log.Name())
	u.t.Fatalf("sshd does not answer: %s", text)
}

// Stop ends the server.
func (u *Upstream) Stop() {
	if u.cmd != nil {
		_ = u.cmd.Process.Kill()
		_ = u.cmd.Wait()
		u.cmd = nil
	}
}

// Revoke takes the access of every key away.
func (u *Upstream) Revoke() { u.write("authorized_keys", "\n", 0o600) }

// Rekey gives the server another host key and starts it again.
func (u *Upstream) Rekey() {
	u.Stop()
	u.makeKey("host")
	u.Start()
}

// Commands are the services that were started so far, each "git-upload-pack '…'" or the like.
func (u *Upstream) Commands() []string {
	text, _ := os.ReadFile(filepath.Join(u.dir, "log", "commands"))
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// Pushes counts the connections that were made for a push.
func (u *Upstream) Pushes() int {
	n := 0
	for _, c := range u.Commands() {
		if strings.HasPrefix(c, "git-receive-pack") {
			n++
		}
	}
	return n
}

// Repository makes a bare repository with one commit on main, and returns its URL.
func (u *Upstream) Repository(name string) string {
	u.t.Helper()
	bare := filepath.Join(u.Root, name+".git")
	Git(u.t, "", "init", "-q", "--bare", "-b", "main", bare)
	work := u.t.TempDir()
	Git(u.t, work, "init", "-q", "-b", "main")
	if err := os.WriteFile(filepath.Join(work, "README"), []byte("hello\n"), 0o600); err != nil {
		u.t.Fatal(err)
	}
	Git(u.t, work, "add", ".")
	Git(u.t, work, "commit", "-q", "-m", "first")
	Git(u.t, work, "push", "-q", bare, "main")
	return u.URL(name)
}

// URL is where a repository is reached.
func (u *Upstream) URL(name string) string {
	return "ssh://" + u.User + "@" + net.JoinHostPort(u.Host, u.Port) + filepath.Join(u.Root, name+".git")
}

// Bare is a repository's directory.
func (u *Upstream) Bare(name string) string { return filepath.Join(u.Root, name+".git") }

// Env is an environment for git that holds nothing of the machine's settings.
func Env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org", "LC_ALL=C",
	}
}

// Try runs git and returns all it said.
func Try(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(context.Background(), "git", args...)
	cmd.Dir, cmd.Env = dir, Env()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Git is Try that must succeed.
func Git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := Try(dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
