package gate_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
)

// TestAnHTTPSRemoteGetsItsTokenHere has git's own server behind TLS as the upstream.
func TestAnHTTPSRemoteGetsItsTokenHere(t *testing.T) {
	w := open(t)
	gatetest.Git(t, w.up.Bare("app"), "config", "http.receivepack", "true")
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	const value = "correct-horse-battery-4711"
	backend := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + w.up.Root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=x"}}
	redirect := ""
	var seen []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, rq *http.Request) {
		user, password, _ := rq.BasicAuth()
		seen = append(seen, rq.URL.Path)
		switch {
		case redirect != "":
			http.Redirect(rw, rq, redirect, http.StatusFound)
		case user != "bot" || password != value:
			rw.Header().Set("WWW-Authenticate", "Basic")
			http.Error(rw, "who are you", http.StatusUnauthorized)
		default:
			if p := rq.Header.Get("Git-Protocol"); p != "" {
				backend := *backend
				backend.Env = append(backend.Env, "GIT_PROTOCOL="+p)
				backend.ServeHTTP(rw, rq)
				return
			}
			backend.ServeHTTP(rw, rq)
		}
	}))
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "https://"), ":")
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	w.repo.URL = "https://example.com:" + port + "/app.git" // the name of the certificate
	w.repo.Mirror = t.TempDir()
	use := func(token string) option {
		return func(c *gitgate.Config, d *gitgate.Deps) {
			c.Repos[0].User, c.Repos[0].HostKey = "bot", ""
			c.Repos[0].Hosts = map[string]netip.Addr{"example.com": netip.MustParseAddr("127.0.0.1")}
			d.Keys = map[string]secret.String{"app": secret.New(token)}
			d.Roots = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		}
	}
	w.url, w.server = w.serve(use(value), pushes(plan.GitPush{Refs: []string{"main"}}))
	dir := w.clone()
	w.commit(dir, "a", "a\n", "a")
	gatetest.Git(t, dir, "push", "-q", "origin", "HEAD:main")
	if got := gatetest.Git(t, w.up.Bare("app"), "log", "--format=%s", "main"); got != "a\nfirst" {
		t.Errorf("the upstream has %q", got)
	}
	w.commit(dir, "b", token(), "b")
	before := len(seen)
	if out, err := gatetest.Try(dir, "push", "origin", "HEAD:main"); err == nil || !strings.Contains(out, "github-pat") {
		t.Errorf("%v %s", err, out)
	}
	for _, path := range seen[before:] {
		if strings.Contains(path, "receive-pack") {
			t.Errorf("the refused push asked for %s", path)
		}
	}
	redirect = "https://example.com:1/elsewhere"
	w.fails(dir, "redirect", "fetch", "origin")
	redirect = ""

	w.repo.Mirror = filepath.Join(t.TempDir(), "other")
	url, _ := w.serve(use("wrong-token-wrong-token"))
	out, err := gatetest.Try("", "ls-remote", url+"/app/")
	if err == nil || strings.Contains(out, "127.0.0.1:") && strings.Contains(out, "http://127.0.0.1") && strings.Contains(out, "up.url") {
		t.Errorf("%v: %s", err, out)
	}
}
