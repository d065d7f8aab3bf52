package login_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/login"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

func jwt(expires time.Time, mark string) string {
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	return part(map[string]string{"alg": "RS256"}) + "." + part(map[string]any{
		"exp": expires.Unix(), "jti": mark, "https://api.openai.com/auth": map[string]string{"chatgpt_account_id": "acct", "chatgpt_plan_type": "pro"},
	}) + "." + base64.RawURLEncoding.EncodeToString([]byte("signature of "+mark))
}

func format(t *testing.T, name string) login.Format {
	t.Helper()
	f, ok := login.For(name)
	if !ok {
		t.Fatal("no format " + name)
	}
	return f
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func codexFile(access, refresh string) string {
	return fmt.Sprintf(`{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"of_a_later_version":{"kept":1},"last_refresh":"2026-01-01T00:00:00Z",
		"tokens":{"id_token":%q,"access_token":%q,"refresh_token":%q,"account_id":"acct","also":"kept"}}`, access, access, refresh)
}

func claudeFile(access, refresh string, expires time.Time) string {
	return fmt.Sprintf(`{"claudeAiOauth":{"accessToken":%q,"refreshToken":%q,"expiresAt":%d,"subscriptionType":"max","scopes":["a"]},"other":true}`,
		access, refresh, expires.UnixMilli())
}

func TestAFileIsReadForItsFacts(t *testing.T) {
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	file := filepath.Join(t.TempDir(), "auth.json")
	write(t, file, codexFile(jwt(expires, "one"), "r"))
	l, err := format(t, "codex").Read(file)
	if err != nil || !l.Expires.Equal(expires) || l.Account != "acct" || l.Plan != "pro" || !l.Renewable || l.Access.Reveal() != jwt(expires, "one") {
		t.Errorf("%+v, %v", l, err)
	}
	write(t, file, claudeFile("a-token", "r", expires))
	l, err = format(t, "claude").Read(file)
	if err != nil || !l.Expires.Equal(expires) || l.Plan != "max" || l.Access.Reveal() != "a-token" {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestWhatIsWrongIsSaidWithoutTheFile gives each broken login its reason and what to do, and none of
// its content.
func TestWhatIsWrongIsSaidWithoutTheFile(t *testing.T) {
	const private = "content-of-the-file"
	key := "sk-" + private
	for name, tc := range map[string]struct {
		provider, text, want, hint string
		kind                       fault.Kind
	}{
		"missing":                {"codex", "", "there is none at", "codex login", fault.NotFound},
		"broken":                 {"codex", `{"tokens": ` + private, "cannot be understood", "codex login", fault.Invalid},
		"empty":                  {"codex", `{}`, "cannot be understood", "codex login", fault.Invalid},
		"an API key":             {"codex", `{"auth_mode":"apikey","OPENAI_API_KEY":"` + key + `"}`, "an API key, not a login", "auth_token: OPENAI_API_KEY", fault.Invalid},
		"an older API key":       {"codex", `{"OPENAI_API_KEY":"` + key + `","tokens":null}`, "an API key, not a login", "auth_token", fault.Invalid},
		"no JSON web token":      {"codex", codexFile(private, "r"), "cannot be understood", "codex login", fault.Invalid},
		"tokens of another type": {"codex", `{"tokens":["` + private + `"]}`, "cannot be understood", "codex login", fault.Invalid},
		"claude: missing":        {"claude", "", "there is none at", "/login", fault.NotFound},
		"claude: broken":         {"claude", private, "cannot be understood", "/login", fault.Invalid},
		"claude: two lines":      {"claude", claudeFile("a\nb", "r", time.Now()), "cannot be understood", "/login", fault.Invalid},
		"too large":              {"codex", `{"a":"` + strings.Repeat("x", 2<<20) + `"}`, "too large", "codex login", fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "login.json")
			if tc.text != "" {
				write(t, file, tc.text)
			}
			_, err := format(t, tc.provider).Read(file)
			if !fault.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), file) || !strings.Contains(fault.HintOf(err), tc.hint) {
				t.Errorf("%v; hint: %s", err, fault.HintOf(err))
			}
			if err != nil && strings.Contains(err.Error()+fault.HintOf(err), private) {
				t.Errorf("it repeats the file: %v", err)
			}
		})
	}
}

func TestAnEndedLoginIsUsableOnlyWhereItCanBeRenewed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth.json")
	for refresh, usable := range map[string]bool{"": false, "r": true} {
		write(t, file, codexFile(jwt(time.Now().Add(-time.Minute), "old"), refresh))
		l, err := format(t, "codex").Read(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := format(t, "codex").Usable(l, time.Now()); (err == nil) != usable {
			t.Errorf("refresh token %q: %v", refresh, err)
		}
	}
}

// issuer renews, each refresh token once.
type issuer struct {
	*standin.Upstream
	renewals atomic.Int64
	mu       sync.Mutex
	valid    string // the refresh token of now
	answer   func(n int64) string
}

func newIssuer(t *testing.T, valid string, answer func(n int64) string) *issuer {
	t.Helper()
	i := &issuer{valid: valid, answer: answer}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked map[string]string
		i.mu.Lock()
		defer i.mu.Unlock()
		if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&asked) != nil || asked["grant_type"] != "refresh_token" || asked["refresh_token"] != i.valid {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":{"code":"refresh_token_reused","message":"it was ` + asked["refresh_token"] + `"}}`))
			return
		}
		n := i.renewals.Add(1)
		i.valid = fmt.Sprint("refresh-", n)
		_, _ = w.Write([]byte(i.answer(n)))
	})
	u, err := standin.Start(standin.Config{Hosts: map[string]http.Handler{"auth.openai.com": handler, "platform.claude.com": handler}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	i.Upstream = u
	return i
}

func (i *issuer) way() login.Way { return login.Way{ConnectTo: i.Addr(), CA: i.CA()} }

func codexAnswer(n int64) string {
	token := jwt(time.Now().Add(time.Hour), fmt.Sprint("renewed-", n))
	return fmt.Sprintf(`{"id_token":%q,"access_token":%q,"refresh_token":"refresh-%d"}`, token, token, n)
}

func TestRenewWritesBackAndKeepsTheRest(t *testing.T) {
	i := newIssuer(t, "refresh-0", codexAnswer)
	dir := t.TempDir()
	real := filepath.Join(dir, "real", "auth.json")
	write(t, real, codexFile(jwt(time.Now(), "old"), "refresh-0"))
	file := filepath.Join(dir, "auth.json") // a link stays one
	if err := os.Symlink(real, file); err != nil {
		t.Fatal(err)
	}
	l, err := format(t, "codex").Renew(t.Context(), file, secret.New(jwt(time.Now(), "old")), i.way())
	if err != nil || l.Expired(time.Now()) {
		t.Fatalf("%+v, %v", l, err)
	}
	raw, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"kept": 1`, `"also": "kept"`, `"refresh-1"`, l.Access.Reveal(), `"auth_mode": "chatgpt"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in what was written back", want)
		}
	}
	info, err := os.Lstat(real)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "real", ".*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestClaudesLoginIsRenewedToo(t *testing.T) {
	i := newIssuer(t, "refresh-0", func(int64) string {
		return `{"access_token":"new-token","refresh_token":"refresh-1","expires_in":3600}`
	})
	file := filepath.Join(t.TempDir(), "c.json")
	write(t, file, claudeFile("old-token", "refresh-0", time.Now()))
	l, err := format(t, "claude").Renew(t.Context(), file, secret.New("old-token"), i.way())
	if err != nil || l.Access.Reveal() != "new-token" || l.Expires.Before(time.Now().Add(50*time.Minute)) || l.Plan != "max" {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestBottlesAtOnceRenewOnce has a refresh token that is good for one use, as the issuer's are.
func TestBottlesAtOnceRenewOnce(t *testing.T) {
	i := newIssuer(t, "refresh-0", codexAnswer)
	file := filepath.Join(t.TempDir(), "auth.json")
	old := jwt(time.Now(), "old")
	write(t, file, codexFile(old, "refresh-0"))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if l, err := format(t, "codex").Renew(t.Context(), file, secret.New(old), i.way()); err != nil || l.Access.Reveal() == old {
				t.Errorf("%v", err)
			}
		})
	}
	group.Wait()
	if n := i.renewals.Load(); n != 1 {
		t.Errorf("%d renewals", n)
	}
}

func TestARefusedRenewalLeavesTheFileAndRepeatsNoValue(t *testing.T) {
	i := newIssuer(t, "another", codexAnswer)
	file := filepath.Join(t.TempDir(), "auth.json")
	old := jwt(time.Now(), "old")
	write(t, file, codexFile(old, "refresh-used"))
	_, err := format(t, "codex").Renew(t.Context(), file, secret.New(old), i.way())
	if err == nil || !strings.Contains(err.Error(), "401 Unauthorized refresh_token_reused") || strings.Contains(err.Error(), "refresh-used") || !strings.Contains(fault.HintOf(err), "codex login") {
		t.Errorf("%v", err)
	}
	if raw, err := os.ReadFile(file); err != nil || string(raw) != codexFile(old, "refresh-used") {
		t.Errorf("the file changed: %v", err)
	}
}

// kept runs a Keeper until the test ends and hands out what it saw.
func kept(t *testing.T, file string, way login.Way) (<-chan login.Login, <-chan string) {
	t.Helper()
	now, err := format(t, "codex").Read(file)
	if err != nil {
		t.Fatal(err)
	}
	seen, said := make(chan login.Login, 16), make(chan string, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	keeper := login.Keeper{
		Format: format(t, "codex"), File: file, Way: way,
		Changed: func(_ context.Context, l login.Login) error { seen <- l; return nil },
		Say:     func(f string, args ...any) { said <- fmt.Sprintf(f, args...) },
	}
	go func() { defer close(done); keeper.Keep(ctx, now) }()
	t.Cleanup(func() { cancel(); <-done })
	return seen, said
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happened")
		panic("unreachable")
	}
}

func TestAKeeperFollowsTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth.json")
	write(t, file, codexFile(jwt(time.Now().Add(time.Hour), "one"), ""))
	seen, said := kept(t, file, login.Way{})
	write(t, file, "half a fi")
	if text := receive(t, said); !strings.Contains(text, "cannot be understood") {
		t.Errorf("said %q", text)
	}
	next := jwt(time.Now().Add(2*time.Hour), "two")
	write(t, file, codexFile(next, ""))
	if l := receive(t, seen); l.Access.Reveal() != next {
		t.Error("another token")
	}
	write(t, file, strings.Replace(codexFile(jwt(time.Now().Add(3*time.Hour), "three"), ""), `"account_id":"acct"`, `"account_id":"somebody-else"`, 1))
	if text := receive(t, said); !strings.Contains(text, "another account") {
		t.Errorf("said %q", text)
	}
	if len(seen) > 0 {
		t.Error("another account's token was used")
	}
}

func TestAKeeperRenewsBeforeTheEnd(t *testing.T) {
	i := newIssuer(t, "refresh-0", codexAnswer)
	file := filepath.Join(t.TempDir(), "auth.json")
	write(t, file, codexFile(jwt(time.Now().Add(login.Margin+time.Second), "old"), "refresh-0"))
	seen, _ := kept(t, file, i.way())
	if l := receive(t, seen); l.Expires.Before(time.Now().Add(50 * time.Minute)) {
		t.Errorf("it ends at %v", l.Expires)
	}
	if n := i.renewals.Load(); n != 1 {
		t.Errorf("%d renewals", n)
	}
}
