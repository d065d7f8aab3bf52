//go:build linux

package gitgate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// Deps are what the gate works with.
type Deps struct {
	Scanner Scanner
	// Keys are the private keys and tokens, by the repository's name.
	Keys map[string]secret.String
	// Sign is the private key that commits and tags of the identity are signed with; empty: none.
	Sign secret.String
	// Asker decides about held pushes; nil refuses them.
	Asker ask.Asker
	Audit audit.Sink
	// Dial reaches an upstream; nil dials and refuses metadata addresses.
	Dial Dialer
	// Roots verifies upstreams of https; nil means the system's.
	Roots *tls.Config
	// Isolated says that programs can be started without network and with pids of their own.
	Isolated bool
}

// Server is the gate of one bottle. It is an http.Handler; each repository is at /<name>/.
type Server struct {
	config    Config
	deps      Deps
	git       *programs
	repos     map[string]*repo
	signature *signature    // nil: nothing is signed
	pushing   chan struct{} // a slot for each push that is looked at
	fetching  chan struct{} // a slot for each program that answers a fetch
}

// The limits of one gate.
const (
	pushesAtOnce  = 2
	fetchesAtOnce = 4
	maxCommands   = 1000
	fetchTime     = 30 * time.Minute // an update of a mirror, the first one included
	pushTime      = 20 * time.Minute
)

// repo is one declared repository.
type repo struct {
	plan.GitRepo
	mirror *mirror
	rules  rules
}

// New checks the configuration and makes the directories. It dials nothing.
func New(config Config, deps Deps) (*Server, error) {
	if deps.Scanner == nil || deps.Audit == nil {
		return nil, errors.New("cannot make the git gate: it needs a scanner and an audit sink")
	}
	if err := clean(config.Dir); err != nil {
		return nil, err
	}
	s := &Server{
		config: config, deps: deps, repos: map[string]*repo{}, pushing: make(chan struct{}, pushesAtOnce), fetching: make(chan struct{}, fetchesAtOnce),
		git: &programs{path: config.Git, home: config.Dir, isolated: deps.Isolated},
	}
	if !deps.Sign.Empty() {
		var err error
		if s.signature, err = newSignature(config.Name, config.Email, deps.Sign); err != nil {
			return nil, err
		}
	}
	for _, declared := range config.Repos {
		rules, err := newRules(config.ID, declared.Push)
		if err != nil {
			return nil, fmt.Errorf("cannot serve %s: %w", declared.Name, err)
		}
		up, err := newUpstream(declared, deps.Keys[declared.Name], deps.Dial, deps.Roots)
		if err != nil {
			return nil, fmt.Errorf("cannot serve %s: %w", declared.Name, err)
		}
		m := &mirror{name: declared.Name, dir: declared.Mirror, git: s.git, upstream: up, turn: make(chan struct{}, 1)}
		if err := m.prepare(); err != nil {
			return nil, fmt.Errorf("cannot serve %s: %w", declared.Name, err)
		}
		s.repos[declared.Name] = &repo{GitRepo: declared, mirror: m, rules: rules}
	}
	return s, nil
}

// clean removes what pushes of an earlier process left.
func clean(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make %s: %w", dir, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, quarantinePrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		return fmt.Errorf("cannot clear %s: %w", dir, err)
	}
	return nil
}

// Close ends the connections to upstreams.
func (s *Server) Close() error {
	var errs []error
	for _, r := range s.repos {
		errs = append(errs, r.mirror.upstream.Close())
	}
	return errors.Join(errs...)
}

// ServeHTTP implements git's smart HTTP (gitprotocol-http(5)). The path of a repository is its
// name and what the agent's own URL had after the declared one: nothing, "/" or ".git".
func (s *Server) ServeHTTP(w http.ResponseWriter, rq *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	if rq.URL.Path == plan.GateSignPath {
		s.sign(w, rq)
		return
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(rq.URL.Path, "/"), "/")
	r, ok := s.repos[name]
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "/"), ".git/")
	if !ok {
		s.refuse(w, rq, name, http.StatusNotFound, "there is no such repository here: "+s.names())
		return
	}
	service := rq.URL.Query().Get("service")
	switch {
	case strings.HasPrefix(rest, "info/lfs"):
		w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
		s.refuse(w, rq, name, http.StatusNotImplemented, noLFS)
	case rest == "info/refs" && rq.Method == http.MethodGet && service == uploadPack:
		s.advertiseFetch(w, rq, r)
	case rest == uploadPack && rq.Method == http.MethodPost:
		s.fetch(w, rq, r)
	case rest == "info/refs" && rq.Method == http.MethodGet && service == receivePack:
		s.advertisePush(w, rq, r)
	case rest == receivePack && rq.Method == http.MethodPost:
		s.push(w, rq, r)
	default:
		s.refuse(w, rq, name, http.StatusNotFound, "git's smart HTTP protocol is all that is spoken here; no declared repository has this URL: "+s.names())
	}
}

const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
	noLFS       = "Git LFS objects do not pass the gate: they cannot be looked at. Work without them (GIT_LFS_SKIP_SMUDGE=1)."
)

func (s *Server) names() string {
	var names []string
	for _, r := range s.config.Repos {
		names = append(names, r.Name+" for "+r.URL)
	}
	return "declared are " + strings.Join(names, ", ")
}

// refuse answers in a way that git shows: the body of an error of type text/plain.
func (s *Server) refuse(w http.ResponseWriter, rq *http.Request, name string, status int, reason string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		reason = "git-gate: " + reason + "\n"
	} else {
		reason = fmt.Sprintf("{\"message\":%q}\n", reason)
	}
	s.note(audit.Event{Verdict: "deny", Method: rq.Method, Path: shown(rq.URL.Path), Rule: shown(name), Reason: strings.TrimSpace(reason), Status: status})
	w.WriteHeader(status)
	_, _ = io.WriteString(w, reason)
}

func (s *Server) note(e audit.Event) {
	e.Time, e.Kind, e.Layer = time.Now().UTC(), "git", "git-gate"
	s.deps.Audit.Record(e)
}

// bounded is a request's context with an end.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, limit)
}

// shown makes text of the agent's fit for a line.
func shown(s string) string {
	quoted := fmt.Sprintf("%q", s)
	quoted = quoted[1 : len(quoted)-1]
	if len(quoted) > 200 {
		quoted = quoted[:200] + "…"
	}
	return quoted
}
