package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// status is what curl in the bottle is answered with; "000" where there is no answer.
func (w *world) status(id, url string, more ...string) string {
	w.t.Helper()
	args := slices.Concat([]string{"exec", id, "--", "curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}"}, more, []string{url})
	return w.run(args...).out
}

// liveRoutes asks another process for the routes in force.
func (w *world) liveRoutes(id string) control.Live {
	w.t.Helper()
	r := w.run("routes", id, "--json")
	var live control.Live
	if err := json.Unmarshal([]byte(r.out), &live); err != nil {
		w.t.Fatalf("routes --json: exit %d %q %s: %v", r.code, r.out, r.err, err)
	}
	return live
}

func TestRoutesOfARunningBottleChange(t *testing.T) {
	w := patientWorld(t)
	b, id := w.running()
	routesChange(w, id)
	b.stopped(w, id)
}

func TestRoutesOfAContainerChange(t *testing.T) {
	w := containerWorld(t, "echo running; exec sleep 100000\n")
	b, id := w.running()
	routesChange(w, id)
	b.stopped(w, id)
	w.clean("--preserved")
}

func (b *background) stopped(w *world, id string) {
	w.t.Helper()
	if r := w.run("stop", id); r.code != 0 {
		w.t.Errorf("stop: %d %s", r.code, r.err)
	}
	b.wait()
}

func routesChange(w *world, id string) {
	t := w.t
	t.Helper()
	const url = "https://new.example/v1/a"
	if got := w.status(id, url); got != "000" {
		t.Errorf("before there is a route: %s", got)
	}
	w.file(filepath.Join(w.dir, "routes.yaml"), "- host: new.example\n  connect_to: "+w.upstream.Addr()+"\n  upstream_ca: upstream.pem\n"+
		"  matches:\n    - paths: [{type: prefix, value: /v1/}]\n      methods: [GET]\n", 0o600)
	if r := w.run("routes", "add", id, "-f", filepath.Join(w.dir, "routes.yaml")); r.code != 0 || !strings.Contains(r.err, "added new.example GET /v1/*") {
		t.Fatalf("add: %d %s", r.code, r.err)
	}
	if got := w.status(id, url); got != "200" {
		t.Errorf("with a route: %s", got)
	}
	if got := w.status(id, "https://new.example/v2"); got != "403" {
		t.Errorf("another path: %s", got)
	}
	if r := w.run("log", id, "--suggest"); r.code != 0 || !strings.Contains(r.out, "    - host: new.example\n      ports: [443]\n") ||
		!strings.Contains(r.out, "{type: exact, value: /v2}") || !strings.Contains(r.out, "join the two") {
		t.Errorf("suggest: %d\n%s\n%s", r.code, r.out, r.err)
	}
	if r := w.run("routes", "add", id, "-f", filepath.Join(w.dir, "routes.yaml")); r.code != 0 || !strings.Contains(r.err, "nothing to change") {
		t.Errorf("the same again: %d %s", r.code, r.err)
	}
	if r := w.run("routes", "add", id, "other.example", "--path", "/x/*", "--method", "get,head", "--port", "8443"); r.code != 0 {
		t.Errorf("add with flags: %d %s", r.code, r.err)
	}
	table := w.run("routes", id)
	for _, want := range []string{claude.Host, "new.example", "8443", "GET,HEAD /x/*", "(claude)", "dialled at"} {
		if !strings.Contains(table.out, want) {
			t.Errorf("the table lacks %q:\n%s", want, table.out)
		}
	}
	if r := w.run("stats", id, "--prometheus"); r.code != 0 || !strings.Contains(r.out, "bot_bottle_denied_total{bottle=\""+id+"\",layer=\"egress\"}") {
		t.Errorf("stats: %d %s\n%s", r.code, r.err, r.out)
	}
	if r := w.run("stats"); r.code != 0 || !strings.Contains(r.out, id) {
		t.Errorf("stats of all: %d %s\n%s", r.code, r.err, r.out)
	}
	before := w.liveRoutes(id)
	for what, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"remove the provider's":       {[]string{"routes", "remove", id, claude.Host}, 1, "belongs to the provider"},
		"a second for the provider's": {[]string{"routes", "add", id, claude.Host}, 1, "from the provider"},
		"a bad host":                  {[]string{"routes", "add", id, "a..b"}, 1, "host"},
		"a port that is none":         {[]string{"routes", "add", id, "c.example", "--port", "70000"}, 2, "70000"},
		"what is not there":           {[]string{"routes", "remove", id, "none.example"}, 10, "no route"},
		"one good and one not there":  {[]string{"routes", "remove", id, "new.example", "none.example"}, 10, "no route"},
		"no host":                     {[]string{"routes", "add", id}, 2, "either a host or -f"},
		"a credential of nobody":      {[]string{"routes", "add", id, "-f", w.routeFile("host: d.example\nauth: {scheme: Bearer, token_ref: OTHER_TOKEN}\n")}, 1, "did not start with"},
		"the provider's credential":   {[]string{"routes", "add", id, "-f", w.routeFile("host: d.example\nauth: {scheme: Bearer, token_ref: BOT_BOTTLE_CLAUDE_OAUTH_TOKEN}\n")}, 1, "credential of the provider"},
		"no such bottle":              {[]string{"routes", "claude-zzzzz"}, 10, "claude-zzzzz"},
	} {
		r := w.run(c.args...)
		if r.code != c.code || !strings.Contains(r.err, c.says) {
			t.Errorf("%s: exit %d %s", what, r.code, r.err)
		}
	}
	if after := w.liveRoutes(id); after.Revision != before.Revision || len(after.Egress.Routes) != len(before.Egress.Routes) {
		t.Errorf("a refused change changed something: %+v, %+v", before, after)
	}
	if r := w.run("routes", "remove", id, "new.example"); r.code != 0 {
		t.Errorf("remove: %d %s", r.code, r.err)
	}
	if got := w.status(id, url); got != "000" && got != "403" {
		t.Errorf("after its route is gone: %s", got)
	}
	told := w.run("log", id, "--kind", "lifecycle")
	log := told.out
	if !strings.Contains(log, "[+ new.example GET /v1/*") || !strings.Contains(log, "[- new.example GET /v1/*") || !strings.Contains(log, "kept as they were") {
		t.Errorf("the log does not tell the changes: %d %s\n%s\n%s", told.code, told.err, log, w.run("log", id).out)
	}
}

// routeFile writes a file of routes.
func (w *world) routeFile(text string) string {
	path := filepath.Join(w.dir, "route-"+strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, text)+".yaml")
	w.file(path, text, 0o600)
	return path
}
