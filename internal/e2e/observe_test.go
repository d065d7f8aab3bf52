package e2e_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// TestObservingMakesAFirstPolicy runs a bottle that records, and the suggestion of what it recorded.
func TestObservingMakesAFirstPolicy(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	narrow := "web.test.example\nmatches: [{methods: [HEAD]}]\nauth: {scheme: Bearer, token_ref: WEB_TOKEN}"
	w.env["WEB_TOKEN"] = w.token()
	w.bottle("", claude.Host, narrow)
	w.agent(`status() { curl -sS -m 20 -o ~/answer -w '%{http_code}\n' "$@"; }
status https://web.test.example/v1/things
grep -ci authorization ~/answer
status https://` + claude.Host + `/v1/messages -H 'authorization: Bearer own'
grep -c "$(echo q7q7q7)" ~/answer
status http://169.254.169.254/latest
status http://10.0.0.1/
exit 3
`)
	r := w.headless("x", "--observe")
	if r.code != 3 || r.out != "200\n0\n200\n0\n403\n403\n" || strings.Count(r.err, "OBSERVING") < 1 {
		t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	id := r.kept(t)
	for _, seen := range w.upstream.Requests() {
		if strings.Contains(strings.Join(seen.Header["Authorization"], " "), w.token()) {
			t.Errorf("a credential was put in: %+v", seen)
		}
	}
	log := w.run("log", id)
	if !strings.Contains(log.err, "only observed") || !strings.Contains(log.out, "would be refused") || !strings.Contains(log.out, "observing: what no route") {
		t.Errorf("the log does not say that it observed:\n%s\n%s", log.err, log.out)
	}
	suggested := w.run("log", id, "--suggest").out
	if !strings.Contains(suggested, "host: web.test.example") || !strings.Contains(suggested, "{type: exact, value: /v1/things}") || strings.Contains(suggested, "host: 169.") || strings.Contains(suggested, "host: 10.") {
		t.Errorf("suggested:\n%s", suggested)
	}
	if dry := w.run("start", "work", "--observe", "--dry-run"); !strings.Contains(dry.out, "WARNING") || strings.Contains(dry.out, "injected") {
		t.Errorf("the preflight is quiet:\n%s%s", dry.out, dry.err)
	}
	w.clean("--preserved")
}

func TestObservingRefusesWhatCouldLeave(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.env["SECRET"] = w.token()
	w.agent("echo ran\n")
	w.bottle("env: {A: \"${SECRET}\"}\n", claude.Host)
	if r := w.headless("x", "--observe"); r.code != 125 || !strings.Contains(r.err, "cannot observe with env.A") || strings.Contains(r.out, "ran") {
		t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	w.bottle("git-gate: {repos: {app: {url: ssh://git@git.test.example/app.git, identity: ~/key}}}\n", claude.Host)
	if r := w.headless("x", "--observe"); r.code != 125 || !strings.Contains(r.err, "cannot observe with git-gate.repos.app") {
		t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
}
