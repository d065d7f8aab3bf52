package notify_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/operator/notify"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func proposal(id string) ask.Proposal {
	return ask.Proposal{ID: id, State: ask.Pending, AskedAt: time.Unix(1700000000, 0).UTC(), Question: ask.Question{
		Kind: ask.Route, Key: id, Title: "GET https://example.org/<b>\x1b[2J", Words: "the agent's own words",
	}}
}

// sender remembers what it was given.
type sender struct {
	mu   sync.Mutex // guards the rest
	told []string
	fail error
	some chan struct{}
}

func (s *sender) Send(_ context.Context, all []ask.Proposal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range all {
		s.told = append(s.told, p.ID)
		s.some <- struct{}{}
	}
	return s.fail
}

func TestEachOpenQuestionIsToldOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := proposal("a-00000/2")
	done.State = ask.Refused
	rounds := [][]ask.Proposal{
		{proposal("a-00000/1"), done},
		{proposal("a-00000/1"), proposal("a-00000/3")},
		{proposal("a-00000/3")},
	}
	source := func(_ context.Context, since uint64) (control.Proposals, error) {
		if int(since) == len(rounds) {
			return control.Proposals{}, errors.New("the bottle has ended")
		}
		return control.Proposals{Revision: since + 1, Proposals: rounds[since]}, nil
	}
	one, two := &sender{some: make(chan struct{}, 9)}, &sender{some: make(chan struct{}, 9), fail: errors.New("broken")}
	var mu sync.Mutex
	var failures []error
	notify.Watch(ctx, "a-00000", source, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, err)
	}, one, two)
	for _, s := range []*sender{one, two} {
		if !slices.Equal(s.told, []string{"a-00000/1", "a-00000/3"}) {
			t.Errorf("told: %v", s.told)
		}
	}
	if len(failures) == 0 {
		t.Error("nobody hears of the broken one")
	}
}

func TestTheWebhookIsSignedAndTriedAgain(t *testing.T) {
	key := secret.New("k" + strings.Repeat("7", 20))
	var bodies []string
	answers := []int{503, 429, 200}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		want := "sha256=" + notify.Sign(key, r.Header.Get("X-Bot-Bottle-Timestamp"), body)
		if r.Header.Get("X-Bot-Bottle-Signature") != want || r.Header.Get("X-Bot-Bottle-Delivery") != "a-00000/1" || r.Method != http.MethodPost {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		bodies = append(bodies, string(body))
		w.WriteHeader(answers[len(bodies)-1])
	}))
	defer server.Close()
	var waits []time.Duration
	hook := &notify.Webhook{URL: server.URL, Key: key, Pause: func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		return nil
	}}
	if err := hook.Send(t.Context(), []ask.Proposal{proposal("a-00000/1")}); err != nil {
		t.Fatal(err)
	}
	if len(bodies) != 3 || !slices.Equal(waits, []time.Duration{time.Second, 4 * time.Second}) {
		t.Errorf("%d attempts, %v", len(bodies), waits)
	}
	for _, unwanted := range []string{"own words", "\x1b", key.Reveal()} {
		if strings.Contains(bodies[0], unwanted) {
			t.Errorf("the body has %q: %s", unwanted, bodies[0])
		}
	}
	if !strings.Contains(bodies[0], `"id":"a-00000/1"`) || !strings.Contains(bodies[0], `"kind":"route"`) {
		t.Errorf("the body is %s", bodies[0])
	}
}

func TestTheWebhookGivesUp(t *testing.T) {
	for name, row := range map[string]struct {
		status, attempts int
	}{
		"what is refused is not tried again":    {403, 1},
		"a redirect is not followed":            {302, 1},
		"what stays broken is tried four times": {500, 4},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n++
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(row.status)
			}))
			defer server.Close()
			hook := &notify.Webhook{URL: server.URL + "/private-path", Pause: func(context.Context, time.Duration) error { return nil }}
			err := hook.Send(t.Context(), []ask.Proposal{proposal("a-00000/1")})
			if err == nil || n != row.attempts || strings.Contains(err.Error(), "private-path") {
				t.Errorf("%d attempts, %v", n, err)
			}
		})
	}
	dead := &notify.Webhook{URL: "http://127.0.0.1:1/private-path", Pause: func(context.Context, time.Duration) error { return nil }}
	if err := dead.Send(t.Context(), []ask.Proposal{proposal("a-00000/1")}); err == nil || strings.Contains(err.Error(), "private-path") {
		t.Errorf("%v", err)
	}
}

func TestOnlyTLSOrThisMachine(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://hooks.example.org/x": true, "http://127.0.0.1:8080/": true, "http://localhost/": true, "http://[::1]:80/": true,
		"http://hooks.example.org/": false, "ftp://hooks.example.org/": false, "https://": false, "https://user:pw@hooks.example.org/": false, "": false,
	} {
		if err := notify.CheckURL(url); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestTheDesktopGetsOneForSeveral(t *testing.T) {
	dir := t.TempDir()
	program, said := filepath.Join(dir, "notify-send"), filepath.Join(dir, "said")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" >>"+said+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := &notify.Desktop{Program: program, Pause: func(context.Context, time.Duration) error { return nil }}
	if err := d.Send(t.Context(), []ask.Proposal{proposal("a-00000/1"), proposal("a-00000/2")}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(said)
	if want := "--app-name=bot-bottle\n--\na-00000/1 asks, and 1 more\nGET https://example.org/&lt;b&gt;\\x1b[2J\nbot-bottle supervise\n"; err != nil || string(got) != want {
		t.Errorf("%v, %q", err, got)
	}
	d.Program = filepath.Join(dir, "none")
	if err := d.Send(t.Context(), []ask.Proposal{proposal("a-00000/1")}); err == nil {
		t.Error("nobody hears that there is no notify-send")
	}
}
