package forge_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/forge"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

func token() string { return "tok" + "-of-the-" + "forge" }

// standIn answers as GitHub and Gitea do for the keys of one repository.
type standIn struct {
	mu      sync.Mutex
	next    int64
	keys    map[int64]map[string]any
	refuses int // the status of every answer, where it is set
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const base = "/api/v1/repos/acme/app/keys"
	var id int64
	_, named := fmt.Sscanf(r.URL.Path, base+"/%d", &id)
	switch {
	case r.Header.Get("Authorization") != "token "+token():
		w.WriteHeader(http.StatusUnauthorized)
	case s.refuses != 0:
		w.WriteHeader(s.refuses)
		_, _ = fmt.Fprint(w, `{"message": "key is already in use\u001b[2J"}`)
	case r.Method == http.MethodPost && r.URL.Path == base:
		var key map[string]any
		if err := json.NewDecoder(r.Body).Decode(&key); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.next++
		key["id"] = s.next
		s.keys[s.next] = key
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(key)
	case r.Method == http.MethodGet && r.URL.Path == base:
		all := []map[string]any{}
		page, limit := 1, 100
		_, _ = fmt.Sscan(r.FormValue("page"), &page)
		_, _ = fmt.Sscan(r.FormValue("limit"), &limit)
		for id := int64((page-1)*limit) + 1; id <= min(s.next, int64(page*limit)); id++ {
			if k := s.keys[id]; k != nil {
				all = append(all, k)
			}
		}
		_ = json.NewEncoder(w).Encode(all)
	case r.Method == http.MethodDelete && named == nil && s.keys[id] != nil:
		delete(s.keys, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func begin(t *testing.T) (*standIn, forge.Client, forge.Repo) {
	t.Helper()
	s := &standIn{keys: map[int64]map[string]any{}}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	return s, forge.Client{HTTP: server.Client(), Token: secret.New(token())}, forge.Repo{API: server.URL + "/api/v1/", Owner: "acme", Name: "app"}
}

func TestAKeyIsMadeAndRevoked(t *testing.T) {
	s, c, repo := begin(t)
	key, private, err := c.Add(t.Context(), repo, "bot-bottle dev-abc12/app")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey([]byte(private.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	if there := s.keys[key.ID]; there["key"] != line || there["read_only"] != false || !strings.HasPrefix(line, "ssh-ed25519 ") {
		t.Errorf("the forge has %v, the key is %s", there, line)
	}
	if err := c.Revoke(t.Context(), key); err != nil || len(s.keys) != 0 {
		t.Errorf("after revoking there are %v, %v", s.keys, err)
	}
	if err := c.Revoke(t.Context(), key); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}

func TestAKeyThatARunLeftIsReplaced(t *testing.T) {
	s, c, repo := begin(t)
	first, _, err := c.Add(t.Context(), repo, "bot-bottle dev-abc12/app")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Add(t.Context(), repo, "bot-bottle other-abc12/app"); err != nil {
		t.Fatal(err)
	}
	second, _, err := c.Add(t.Context(), repo, "bot-bottle dev-abc12/app")
	if err != nil || s.keys[first.ID] != nil || s.keys[second.ID] == nil || len(s.keys) != 2 {
		t.Errorf("there are %v, %v", s.keys, err)
	}
}

func TestAKeyWhoseIDIsNotKnownIsRevokedByItsTitle(t *testing.T) {
	s, c, repo := begin(t)
	for i := range int64(130) {
		s.keys[i+1] = map[string]any{"id": i + 1, "title": fmt.Sprint("of another ", i)}
	}
	s.next = 130
	key, _, err := c.Add(t.Context(), repo, "bot-bottle dev-abc12/app")
	if err != nil {
		t.Fatal(err)
	}
	key.ID = 0
	if err := c.Revoke(t.Context(), key); err != nil || len(s.keys) != 130 || s.keys[131] != nil {
		t.Errorf("%d keys are left, %v, %v", len(s.keys), s.keys[131], err)
	}
	if err := c.Revoke(t.Context(), key); err != nil {
		t.Errorf("one that was never made: %v", err)
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	for status, hint := range map[int]string{
		http.StatusForbidden: "administer", http.StatusNotFound: "api_url", http.StatusUnprocessableEntity: "in use already",
	} {
		s, c, repo := begin(t)
		s.refuses = status
		_, _, err := c.Add(t.Context(), repo, "title")
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), hint) || strings.Contains(err.Error(), "\x1b") || strings.Contains(err.Error(), token()) {
			t.Errorf("%d: %v, hint %q", status, err, fault.HintOf(err))
		}
	}
	s, c, repo := begin(t)
	key, _, err := c.Add(t.Context(), repo, "title")
	if err != nil {
		t.Fatal(err)
	}
	s.refuses = http.StatusInternalServerError
	if err := c.Revoke(t.Context(), key); err == nil || !strings.Contains(err.Error(), "NOT revoked") || fault.HintOf(err) == "" {
		t.Errorf("a key that stays: %v", err)
	}
}

func TestTheTokenFollowsNoRedirect(t *testing.T) {
	var leaked string
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = r.Header.Get("Authorization") }))
	defer other.Close()
	_, c, repo := begin(t)
	server := httptest.NewTLSServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	repo.API, c.HTTP = server.URL, server.Client()
	if _, _, err := c.Add(t.Context(), repo, "title"); err == nil || leaked != "" {
		t.Errorf("the other host got %q, %v", leaked, err)
	}
}
