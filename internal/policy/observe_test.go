package policy_test

import (
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func TestObservingLetsThroughOnlyWhatARouteCouldAllow(t *testing.T) {
	set := policy.Set{Observe: true, Routes: []policy.Route{
		{Host: "a.example", Matches: []policy.Match{{Methods: []string{"GET"}}}, ConnectTo: "127.0.0.1:1"},
		{Host: "db.example", Protocol: policy.ProtocolTCP, Ports: []uint16{5432}},
	}}
	rules, err := policy.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, host, target string
		port                 uint16
		allow, would         bool
	}{
		{"GET", "a.example", "/", 443, true, false}, {"POST", "a.example", "/", 443, true, true}, {"GET", "a.example", "/", 8443, true, true},
		{"GET", "b.example", "/x", 443, true, true}, {"GET", "8.8.8.8", "/", 443, true, true}, {"GET", "a.example", "/t/x.git/info/refs", 443, true, true},
		{"TRACE", "b.example", "/", 443, false, false}, {"GET", "169.254.169.254", "/", 80, false, false}, {"GET", "10.0.0.1", "/", 80, false, false},
		{"GET", "127.0.0.1", "/", 80, false, false}, {"POST", "a.example", "/t/x.git/git-receive-pack", 443, false, false}, {"POST", "b.example", "/t/x.git/git-receive-pack", 443, false, false}, {"GET", "db.example", "/", 5432, false, false},
	} {
		d := rules.Decide(ask(t, c.method, c.host, c.port, c.target, nil))
		if d.Allow != c.allow || (d.Would != nil) != c.would || d.Allow && (d.Route == nil || d.Route.Auth != nil) {
			t.Errorf("%s %s:%d%s: %+v", c.method, c.host, c.port, c.target, d)
		}
	}
	if d := rules.Decide(ask(t, "POST", "a.example", 443, "/", nil)); d.Route.ConnectTo == "" {
		t.Error("a route no longer says how to reach its host")
	}
	if !rules.ResolvesName("b.example") || rules.ResolvesName("printer") || rules.ResolvesName("x.local") || rules.ResolvesName("169.254.169.254") {
		t.Error("the names that resolve are not the public ones")
	}
	if !rules.DecideHost("b.example", 22).Allow || rules.DecideHost("169.254.169.254", 80).Allow {
		t.Error("DecideHost differs")
	}
}

func TestNothingIsObservedWithACredential(t *testing.T) {
	if _, err := policy.Compile(policy.Set{Observe: true, Routes: []policy.Route{{Host: "a.example", Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "A"}}}}); err == nil {
		t.Error("a credential was taken")
	}
	if _, err := policy.Compile(policy.Set{Observe: true, OnDeny: policy.OnDenyAsk}); err == nil {
		t.Error("observing and asking was taken")
	}
	old := policy.Set{Routes: []policy.Route{{Host: "a.example"}}}
	loose := old
	loose.Observe = true
	if policy.CheckChange(old, loose) == nil || policy.CheckChange(loose, old) == nil {
		t.Error("a running bottle begins or ends to observe")
	}
}
