package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/provider/codex"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

const issuerHost = "auth.openai.com"

// service is the API and the issuer of its tokens: only the newest one is honoured.
type service struct {
	*standin.OpenAI
	mu       sync.Mutex
	valid    string // the token of now
	mark     string // which one that is
	refresh  string
	renewals int
	refused  int
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	valid := "Bearer "+s.valid == r.Header.Get("Authorization")
	if !valid {
		s.refused++
	}
	s.mu.Unlock()
	if !valid {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":{"code":"token_expired","message":"your token has expired"}}`))
		return
	}
	if strings.HasSuffix(r.URL.Path, "/newest") {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = w.Write([]byte(s.mark + "\n"))
		return
	}
	s.OpenAI.ServeHTTP(w, r)
}

// rotateTo has the service honour another token, and another renewal, from now on.
func (s *service) rotateTo(token, mark, refresh string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.valid, s.mark, s.refresh = token, mark, refresh
}

// issue answers the renewal of a login, each refresh token once.
func (s *service) issue(w http.ResponseWriter, r *http.Request) {
	var asked map[string]string
	s.mu.Lock()
	defer s.mu.Unlock()
	if json.NewDecoder(r.Body).Decode(&asked) != nil || asked["refresh_token"] != s.refresh {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.renewals++
	s.refresh = fmt.Sprint("refresh-", s.renewals)
	s.mark = fmt.Sprint("renewed-", s.renewals)
	s.valid = jwt(time.Now().Add(time.Hour), s.mark)
	_, _ = fmt.Fprintf(w, `{"id_token":%q,"access_token":%q,"refresh_token":%q}`, s.valid, s.valid, s.refresh)
}

// awaitToken is a command of the agent's that goes on when its requests carry the token of a mark.
func awaitToken(mark string) string {
	return "until curl -sS -m 5 https://chatgpt.com/backend-api/codex/newest | grep -qx " + mark + "; do :; done; echo it is there"
}

func loginWorld(t *testing.T, hold holder, script ...standin.Turn) (*world, *service) {
	t.Helper()
	s := &service{OpenAI: standin.NewOpenAI(script...), refresh: "refresh-first"}
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{
		codex.ChatHost: s, codex.APIHost: s, issuerHost: http.HandlerFunc(s.issue),
	}})
	hold(t, w, "codex")
	w.bottle(codexLoginBottle, codex.ChatHost, codex.APIHost, issuerHost)
	return w, s
}

// TestATokenThatEndsDuringTheRunIsRenewed lets the real program work while its token is renewed by
// the process that owns the bottle.
func TestATokenThatEndsDuringTheRunIsRenewed(t *testing.T) {
	for name, hold := range holders() {
		t.Run(name, func(t *testing.T) { renewedDuringTheRun(t, hold) })
	}
}

func renewedDuringTheRun(t *testing.T, hold holder) {
	w, s := loginWorld(t, hold, standin.Bash("touch ~/workspace/waiting; "+awaitToken("renewed-1")), standin.Say("I am done."))
	first := w.codexLogin(time.Now().Add(time.Hour), "first")
	s.valid = first
	b := w.begin()
	id := w.agentWaits()
	// Five minutes before its end a token is renewed: this one at once. The service stops honouring it
	// in that moment.
	ends := time.Now().Add(5*time.Minute + time.Second)
	s.rotateTo(jwt(ends, "second"), "second", "refresh-second")
	second := w.codexLogin(ends, "second")
	r := b.wait()
	if r.code != 0 || !strings.Contains(r.out, "I am done.") {
		t.Fatalf("exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	if log := w.run("log", id); !strings.Contains(log.out, "credential renewed") {
		t.Errorf("the log does not tell: %s", log.out)
	}
	if s.renewals != 1 {
		t.Errorf("%d renewals", s.renewals)
	}
	raw, err := os.ReadFile(filepath.Join(w.user, ".codex", "auth.json"))
	if err != nil || !strings.Contains(string(raw), s.valid) || !strings.Contains(string(raw), "refresh-1") || !strings.Contains(string(raw), "of_a_later_version") {
		t.Errorf("the host's login was not written back: %v", err)
	}
	w.noTokenInside(t, s, first, second)
}

// TestTheHostsOwnRenewalReachesARunningBottle has the token end for real, and a login that the
// bottle's owner cannot renew: the host's own program does.
func TestTheHostsOwnRenewalReachesARunningBottle(t *testing.T) {
	for name, hold := range holders() {
		t.Run(name, func(t *testing.T) { renewedByTheHost(t, hold) })
	}
}

func renewedByTheHost(t *testing.T, hold holder) {
	w, s := loginWorld(t, hold, standin.Bash("touch ~/workspace/waiting; "+awaitToken("second")), standin.Say("I am done."))
	first := w.codexLogin(time.Now().Add(time.Hour), "first")
	s.valid = first
	b := w.begin()
	id := w.agentWaits()
	second := w.codexLogin(time.Now().Add(2*time.Hour), "second")
	s.rotateTo(second, "second", s.refresh)
	r := b.wait()
	if r.code != 0 || !strings.Contains(r.out, "I am done.") {
		t.Fatalf("exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	if s.renewals != 0 {
		t.Errorf("%d renewals by the bottle's owner", s.renewals)
	}
	if log := w.run("log", id); !strings.Contains(log.out, "credential renewed") {
		t.Errorf("the log does not tell: %s", log.out)
	}
	w.noTokenInside(t, s, first, second)
}

// agentWaits returns the identity of the run whose agent has written that it waits.
func (w *world) agentWaits() (id string) {
	w.t.Helper()
	eventually(w.t, "the agent waits", func() bool {
		found, _ := filepath.Glob(filepath.Join(w.home, "state", "*", "home", "workspace", "waiting"))
		if len(found) == 1 {
			id = filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(found[0]))))
		}
		return len(found) == 1
	})
	return id
}

// noTokenInside looks for the tokens in what the agent wrote, and at the model.
func (w *world) noTokenInside(t *testing.T, s *service, tokens ...string) {
	t.Helper()
	if got := s.Results(); len(got) != 1 || !strings.Contains(got[0].Content, "it is there") {
		t.Errorf("the agent's requests never carried the new token: %+v", got)
	}
	for _, r := range s.Results() {
		for _, token := range append(tokens, s.valid) {
			if strings.Contains(r.Content, token) {
				t.Error("a tool saw a token")
			}
		}
	}
	for _, token := range append(tokens, s.valid) {
		_ = filepath.WalkDir(filepath.Join(w.home, "state"), func(path string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil
			}
			if raw, err := os.ReadFile(path); err == nil && strings.Contains(string(raw), token) {
				t.Errorf("%s holds a token", path)
			}
			return nil
		})
	}
}

func TestALoginThatEndedIsRenewedBeforeTheStart(t *testing.T) {
	w, s := loginWorld(t, inNative, standin.Say("I am done."))
	w.codexLogin(time.Now().Add(-time.Minute), "first")
	if r := w.headless("do the thing"); r.code != 0 || !strings.Contains(r.out, "I am done.") || s.renewals != 1 {
		t.Errorf("exit %d, %d renewals\n%s\n%s", r.code, s.renewals, r.out, r.err)
	}
}

func TestWhatIsWrongWithALogin(t *testing.T) {
	w, s := loginWorld(t, inNative)
	file := filepath.Join(w.user, ".codex", "auth.json")
	for name, tc := range map[string]struct{ text, want, hint string }{
		"missing": {"", "there is none at " + file, "codex login"},
		"broken":  {"{", "cannot be understood", "codex login"},
		"a key":   {`{"OPENAI_API_KEY":"sk-1"}`, "it holds an API key, not a login", "agent_provider.auth_token: OPENAI_API_KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.text != "" {
				w.file(file, tc.text, 0o600)
			}
			if r := w.headless("x"); r.code != 125 || !strings.Contains(r.err, tc.want) || !strings.Contains(r.err, "hint: ") || !strings.Contains(r.err, tc.hint) {
				t.Errorf("exit %d\n%s", r.code, r.err)
			}
			_ = os.Remove(file)
		})
	}
	t.Run("ended, and refused", func(t *testing.T) {
		w.codexLogin(time.Now().Add(-time.Minute), "first")
		s.refresh = "of somebody else"
		if r := w.headless("x"); r.code != 125 || !strings.Contains(r.err, "cannot renew the login of codex") || !strings.Contains(r.err, "codex login") {
			t.Errorf("exit %d\n%s", r.code, r.err)
		}
	})
	if entries, _ := os.ReadDir(filepath.Join(w.home, "state")); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
}

// TestTheIssuerIsClosedToTheAgent has a route to it in the bottle, which is the owner's.
func TestTheIssuerIsClosedToTheAgent(t *testing.T) {
	w, _ := loginWorld(t, inNative)
	w.codexLogin(time.Now().Add(time.Hour), "first")
	_ = os.Remove(filepath.Join(w.bin, "codex"))
	w.file(filepath.Join(w.bin, "codex"), "#!/bin/bash\ncurl -sS -m 10 -o /dev/null -w '%{http_code}' --noproxy '*' https://"+issuerHost+"/oauth/token\n", 0o755)
	if r := w.headless("x"); r.code == 0 || strings.Contains(r.out, "200") || strings.Contains(r.out, "401") {
		t.Errorf("exit %d %q %s", r.code, r.out, r.err)
	}
	for _, q := range w.upstream.Requests() {
		if q.Host == issuerHost {
			t.Error("the agent reached the issuer")
		}
	}
}
