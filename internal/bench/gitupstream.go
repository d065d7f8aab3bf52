package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// gitUpstream is a forge in this process: the real git behind SSH on loopback.
type gitUpstream struct {
	host    string // 127.0.0.1:PORT
	hostKey string // a line of known_hosts
	key     secret.String

	listener net.Listener
	config   *ssh.ServerConfig
	group    sync.WaitGroup
}

func newGitUpstream(ctx context.Context) (*gitUpstream, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	u := &gitUpstream{key: secret.New(string(pem.EncodeToMemory(block))), config: &ssh.ServerConfig{
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return &ssh.Permissions{}, nil },
	}}
	u.config.AddHostKey(signer)
	if u.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	u.host = u.listener.Addr().String()
	_, port, err := net.SplitHostPort(u.host)
	if err != nil {
		return nil, err
	}
	u.hostKey = "[127.0.0.1]:" + port + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	u.group.Go(func() {
		for {
			conn, err := u.listener.Accept()
			if err != nil {
				return // it was closed
			}
			u.group.Go(func() { u.serve(ctx, conn) })
		}
	})
	return u, nil
}

func (u *gitUpstream) Close() error {
	err := u.listener.Close()
	u.group.Wait()
	return err
}

func (u *gitUpstream) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_, channels, requests, err := ssh.NewServerConn(conn, u.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		u.group.Go(func() { session(ctx, channel, requests) })
	}
}

// session runs the one git service that a channel asks for.
func session(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	env := gitEnv()
	for rq := range requests {
		var one struct{ Text string }
		var pair struct{ Name, Value string }
		switch {
		case rq.Type == "env" && ssh.Unmarshal(rq.Payload, &pair) == nil:
			env = append(env, pair.Name+"="+pair.Value)
			_ = rq.Reply(true, nil)
		case rq.Type == "exec" && ssh.Unmarshal(rq.Payload, &one) == nil:
			_ = rq.Reply(true, nil)
			service, path, _ := strings.Cut(one.Text, " ")
			cmd := exec.CommandContext(ctx, "git", strings.TrimPrefix(service, "git-"), strings.Trim(path, "'"))
			cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, channel, channel, channel.Stderr()
			var status [4]byte
			if cmd.Run() != nil {
				status[3] = 1
			}
			_, _ = channel.SendRequest("exit-status", false, status[:])
			return
		default:
			_ = rq.Reply(false, nil)
		}
	}
}

// gitEnv is an environment for git with nothing of the machine's settings.
func gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org",
	}
}

// git runs the real one, with in as its input where there is one.
func git(ctx context.Context, dir string, in io.Reader, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gitEnv(), in
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot run git %s: %w: %s", args[0], err, out)
	}
	return nil
}
