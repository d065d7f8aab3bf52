package cli

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// TestWhatIsSuggestedIsAManifestThatAllowsIt pastes what is printed and asks Decide.
func TestWhatIsSuggestedIsAManifestThatAllowsIt(t *testing.T) {
	events := []audit.Event{
		{Kind: "request", Verdict: "deny", Layer: "egress", Host: "a.example", Port: 443, Method: "GET", Path: "/v1/x"},
		{Kind: "request", Verdict: "deny", Layer: "egress", Host: "a.example", Port: 443, Method: "POST", Path: "/v1/@s%2Dx", Reason: "no match of the route of a.example holds: path"},
		{Kind: "connect", Verdict: "deny", Layer: "egress", Via: "connect", Host: "c.example", Port: 8443, Method: "CONNECT", Path: "/"},
		{Kind: "request", Verdict: "deny", Layer: "egress", Host: "xn--bcher-kva.example", Port: 80, Method: "GET", Path: "/"},
		{Kind: "request", Verdict: "deny", Layer: "git", Host: "g.example", Port: 443, Method: "GET", Path: "/t/a.git/info/refs", Rule: "git: fetch on the route of g.example"},
		{Kind: "request", Verdict: "deny", Layer: "git", Host: "p.example", Port: 443, Method: "POST", Path: "/t/a.git/git-receive-pack", Rule: "git-gate.repos"},
		{Kind: "request", Verdict: "deny", Layer: "address", Host: "r.example", Port: 443, Method: "GET", Path: "/"},
		{Kind: "request", Verdict: "deny", Layer: "dlp", Host: "l.example", Port: 443, Method: "GET", Path: "/"},
		{Kind: "request", Verdict: "deny", Layer: "egress", Host: "169.254.169.254", Port: 80, Method: "GET", Path: "/"},
		{Kind: "request", Verdict: "allow", Host: "ok.example", Port: 443, Method: "GET", Path: "/"},
		{Kind: "dns", Verdict: "deny", Layer: "dns", Host: "a.example"},
		{Kind: "dns", Verdict: "deny", Layer: "dns", Host: "looked\x1b[31m.ex\u202eample"},
		{Kind: "connect", Verdict: "deny", Layer: "egress", Via: "transparent", Host: "db.example", Port: 5432},
	}
	s := refusals{looked: map[string]bool{}, routed: map[string]bool{}, opaque: map[string]bool{}}
	for _, e := range events {
		s.add(e)
	}
	suggestions, left := policy.Suggest(s.requests, false)
	text := s.yaml("api-abcde", suggestions, left)
	if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
		t.Errorf("what the agent wrote drives a terminal: %q", text)
	}
	routes, _, err := manifest.ReadRoutes("suggested", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var set policy.Set
	for _, r := range routes {
		set.Routes = append(set.Routes, r.Route)
	}
	rules, err := policy.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"a.example/v1/x": true, "a.example/v1/@s-x": true, "c.example/": true, "xn--bcher-kva.example/": true, "g.example/t/a.git/info/refs": true}
	for _, e := range events {
		method := e.Method
		switch method {
		case "":
			continue
		case "CONNECT":
			method = "GET"
		}
		q, err := policy.NewRequest(method, e.Host, e.Port, e.Path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := rules.Decide(q).Allow; got != want[q.Host()+q.Target().Path] {
			t.Errorf("%s %s%s: %v\n%s", method, q.Host(), q.Target().Path, got, text)
		}
	}
	for _, says := range []string{"protocol: tcp: db.example", "only looked up", "join the two", "look closely", "left out: \"169.254.169.254\"", "every path and method"} {
		if !strings.Contains(text, says) {
			t.Errorf("%q is not said:\n%s", says, text)
		}
	}
	if strings.Contains(text, "looked up, so nothing is known of what was wanted: a.example") {
		t.Error("a host with a suggestion is listed again")
	}
}
