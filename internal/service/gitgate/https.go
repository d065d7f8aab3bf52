//go:build linux

package gitgate

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// httpsUpstream puts the token in between git and the remote: git speaks HTTP to a door on
// loopback that only it knows the path of, and this process speaks TLS to the remote.
type httpsUpstream struct {
	remote remote
	user   string
	token  secret.String
	dial   Dialer
	verify *tls.Config // nil: the system's roots

	mu     sync.Mutex // guards what follows
	server *http.Server
	door   string
	path   string
}

func newHTTPS(r plan.GitRepo, to remote, token secret.String, dial Dialer, roots *tls.Config) (*httpsUpstream, error) {
	if token.Empty() {
		return nil, fault.New(fault.Invalid, "its token is empty")
	}
	user := r.User
	if user == "" {
		user = "git"
	}
	return &httpsUpstream{remote: to, user: user, token: token, dial: dial, verify: roots}, nil
}

func (u *httpsUpstream) use(ctx context.Context, _ string, do func(link) error) error {
	door, err := u.open()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// The secret path is in git's environment, which only this user can read, and in no argv.
	err = do(link{url: "up", online: true, env: []string{"GIT_CONFIG_PARAMETERS='remote.up.url=" + door + "'"}})
	if err != nil {
		return &remoteError{err, strings.ReplaceAll(err.Error(), door, "https://"+u.remote.host+u.remote.path)}
	}
	return nil
}

// open makes the door once.
func (u *httpsUpstream) open() (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.server != nil {
		return u.door, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is there at once
	if err != nil {
		return "", fmt.Errorf("cannot make a door for git: %w", err)
	}
	u.path = "/" + rand.Text() + rand.Text()
	u.door = "http://" + l.Addr().String() + u.path
	u.server = &http.Server{Handler: u.proxy(), ReadHeaderTimeout: 10 * time.Second}
	go func(s *http.Server) { _ = s.Serve(l) }(u.server)
	return u.door, nil
}

// proxy forwards what git's smart protocol needs, and nothing else.
func (u *httpsUpstream) proxy() http.Handler {
	path := u.path
	base := &url.URL{Scheme: "https", Host: net.JoinHostPort(u.remote.host, u.remote.port), Path: strings.TrimSuffix(u.remote.path, "/")}
	if u.remote.port == "443" {
		base.Host = u.remote.host
	}
	transport := &http.Transport{
		DialContext: u.dial, TLSClientConfig: u.verify, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 20 * time.Second,
		DisableCompression: true, IdleConnTimeout: 30 * time.Second,
	}
	forward := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = base.Scheme, base.Host, base.Host
			r.Out.URL.Path = base.Path + strings.TrimPrefix(r.In.URL.Path, path)
			r.Out.URL.RawPath = ""
			r.Out.Header.Del("Cookie")
			r.Out.SetBasicAuth(u.user, u.token.Reveal())
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode/100 == 3 {
				return errors.New("it answers with a redirect, which is not followed with a token")
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "cannot reach "+u.remote.host+": "+err.Error(), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		rest, ok := strings.CutPrefix(rq.URL.Path, path)
		if !ok || rest != "/info/refs" && rest != "/"+uploadPack && rest != "/"+receivePack {
			http.NotFound(w, rq)
			return
		}
		forward.ServeHTTP(w, rq)
	})
}

func (u *httpsUpstream) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.server == nil {
		return nil
	}
	return u.server.Close()
}
