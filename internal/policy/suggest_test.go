package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func routesOf(suggestions []policy.Suggestion) []policy.Route {
	var out []policy.Route
	for _, s := range suggestions {
		out = append(out, s.Route)
	}
	return out
}

// TestASuggestionAllowsExactlyWhatWasRefused asks Decide about everything in a small world.
func TestASuggestionAllowsExactlyWhatWasRefused(t *testing.T) {
	hosts, methods := []string{"a.example", "b.example", "x.a.example"}, []string{"GET", "HEAD", "POST"}
	paths := []string{"/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/a%20b"}
	one := rapid.Custom(func(t *rapid.T) policy.Refused {
		return policy.Refused{
			Host: rapid.SampledFrom(hosts).Draw(t, "host"), Port: 443,
			Method: rapid.SampledFrom(methods).Draw(t, "method"), Path: rapid.SampledFrom(paths).Draw(t, "path"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		refused := rapid.SliceOfN(one, 0, 12).Draw(rt, "refused")
		suggestions, left := policy.Suggest(refused, true)
		if len(left) > 0 {
			rt.Fatal(left)
		}
		rules := compile(t, routesOf(suggestions)...)
		for _, h := range hosts {
			for _, m := range methods {
				for _, p := range paths {
					for _, port := range []uint16{80, 443, 8443} {
						want := slices.Contains(refused, policy.Refused{Host: h, Port: port, Method: m, Path: p})
						if got := rules.Decide(ask(t, m, h, port, p, nil)).Allow; got != want {
							rt.Fatal(fmt.Sprintf("%s %s:%d%s: %v; refused were %+v, suggested %+v", m, h, port, p, got, refused, suggestions))
						}
					}
				}
			}
		}
	})
}

func TestSeveralPathsOfADirectoryBecomeAPrefix(t *testing.T) {
	var refused []policy.Refused
	for _, p := range []string{"/v1/items/1", "/v1/items/2", "/v1/items/3", "/v1/items/4", "/v1/users/1", "/x", "/y", "/z", "/w"} {
		refused = append(refused, policy.Refused{Host: "a.example", Port: 443, Method: "GET", Path: p})
	}
	refused = append(refused, policy.Refused{Host: "a.example", Port: 443, Method: "POST", Path: "/v1/items/1"})
	suggestions, _ := policy.Suggest(refused, false)
	rules := compile(t, routesOf(suggestions)...)
	for _, r := range refused {
		if !rules.Decide(ask(t, r.Method, r.Host, r.Port, r.Path, nil)).Allow {
			t.Errorf("%+v is still refused by %+v", r, suggestions)
		}
	}
	for target, method := range map[string]string{"/v1/items/9": "POST", "/v1/users/2": "GET", "/q": "GET", "/v1/itemsX": "GET", "/v1/": "GET"} {
		if rules.Decide(ask(t, method, "a.example", 443, target, nil)).Allow {
			t.Errorf("%s %s is allowed by %+v", method, target, suggestions)
		}
	}
	if !rules.Decide(ask(t, "GET", "a.example", 443, "/v1/items/9", nil)).Allow {
		t.Errorf("nothing was generalised: %+v", suggestions)
	}
}

func TestWhatIsNeverSuggested(t *testing.T) {
	get := func(host, path string) policy.Refused {
		return policy.Refused{Host: host, Port: 443, Method: "GET", Path: path}
	}
	for _, r := range []policy.Refused{
		get("169.254.169.254", "/"), get("10.0.0.1", "/"), get("127.0.0.1", "/"), get("[::1]", "/"), get("fd00:ec2::254", "/"),
		get("A.example", "/"), get("a\x1b[2J.example", "/"), get("a..example", "/"), get("_egress.local", "/"), get("", "/"),
		get("a.example", "/a//b"), get("a.example", "/a/../b"), get("a.example", "/a?x=y"), get("a.example", "/***"), get("a.example", "/long…"), get("a.example", "no path"), get("a.example", "/t/a.git/git-receive-pack"),
		{Host: "a.example", Method: "GET", Path: "/"}, {Host: "a.example", Port: 443, Method: "TRACE", Path: "/"}, {Host: "a.example", Port: 443, Method: "get]}", Path: "/"},
	} {
		suggestions, left := policy.Suggest([]policy.Refused{r}, false)
		if len(suggestions) > 0 || len(left) != 1 || left[0].Why == "" {
			t.Errorf("%+v: %+v, %+v", r, suggestions, left)
		}
		for _, u := range left {
			if strings.ContainsFunc(u.Host+u.Why, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%+q drives a terminal", u.Host+u.Why)
			}
		}
	}
}

func TestAConnectionAndAFetchAreSuggested(t *testing.T) {
	suggestions, _ := policy.Suggest([]policy.Refused{
		{Host: "c.example", Port: 8443, Method: "CONNECT"},
		{Host: "git.example", Port: 443, Method: "GET", Path: "/t/a.git/info/refs"},
	}, false)
	rules := compile(t, routesOf(suggestions)...)
	if !rules.DecideHost("c.example", 8443).Allow || rules.DecideHost("c.example", 443).Allow || len(suggestions[0].Notes) == 0 {
		t.Errorf("%+v", suggestions)
	}
	for target, c := range map[string]struct {
		method string
		want   bool
	}{
		"/t/a.git/info/refs?service=git-upload-pack": {"GET", true}, "/t/a.git/git-upload-pack": {"POST", true}, "/t/b.git/git-upload-pack": {"POST", false},
		"/t/a.git/git-receive-pack": {"POST", false}, "/t/a.git/info/refs?service=git-receive-pack": {"GET", false},
	} {
		if got := rules.Decide(ask(t, c.method, "git.example", 443, target, nil)).Allow; got != c.want {
			t.Errorf("%s %s: %v", c.method, target, got)
		}
	}
}

func TestAnAgentCannotMakeASuggestionEndless(t *testing.T) {
	var refused []policy.Refused
	for i := range 5000 {
		refused = append(refused, policy.Refused{Host: fmt.Sprintf("h%d.example", i%400), Port: 443, Method: "GET", Path: fmt.Sprintf("/p%d", i)},
			policy.Refused{Host: "h0.example", Port: 443, Method: "GET", Path: fmt.Sprintf("/q%d", i)})
	}
	suggestions, left := policy.Suggest(refused, false)
	if len(suggestions) != 100 || len(left) == 0 {
		t.Errorf("%d suggestions, left out: %+v", len(suggestions), left)
	}
	for _, s := range suggestions {
		n := 0
		for _, m := range s.Route.Matches {
			n += len(m.Paths)
		}
		if n > 64 {
			t.Errorf("%s has %d paths", s.Route.Host, n)
		}
	}
}
