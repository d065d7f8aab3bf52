package policy_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func compile(t testing.TB, routes ...policy.Route) *policy.Rules {
	t.Helper()
	rules, err := policy.Compile(policy.Set{Routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func ask(t testing.TB, method, host string, port uint16, target string, header map[string][]string) policy.Request {
	t.Helper()
	q, err := policy.NewRequest(method, host, port, target, func(name string) []string { return header[strings.ToLower(name)] })
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestTheZeroPolicyDeniesEverything(t *testing.T) {
	rules := compile(t)
	if d := rules.Decide(ask(t, "GET", "a.example", 443, "/", nil)); d.Allow || d.Layer == "" || !d.Approvable {
		t.Errorf("%+v", d)
	}
	if rules.DecideHost("a.example", 443).Allow || rules.ResolvesName("a.example") {
		t.Error("an empty policy opens something")
	}
}

func TestTheMostSpecificHostAloneIsAsked(t *testing.T) {
	get := []policy.Match{{Methods: []string{"GET"}}}
	rules := compile(t,
		policy.Route{Host: "*.example.org"},
		policy.Route{Host: "*.deep.example.org", Matches: get},
		policy.Route{Host: "exact.deep.example.org", Ports: []uint16{8443}},
	)
	for _, c := range []struct {
		host  string
		port  uint16
		allow bool
	}{
		{"a.example.org", 443, true}, {"example.org", 443, false}, {"a.b.example.org", 80, true}, {"notexample.org", 443, false},
		{"a.deep.example.org", 443, false}, {"deep.example.org", 443, true},
		{"exact.deep.example.org", 443, false}, {"exact.deep.example.org", 8443, true},
	} {
		if got := rules.Decide(ask(t, "POST", c.host, c.port, "/", nil)).Allow; got != c.allow {
			t.Errorf("%s:%d: %v", c.host, c.port, got)
		}
	}
}

func TestMatchesAreAlternativesAndTheirFieldsAllHold(t *testing.T) {
	rules := compile(t, policy.Route{Host: "a.example", Matches: []policy.Match{
		{Paths: []policy.PathMatch{{Type: "prefix", Value: "/a/"}}, Methods: []string{"GET"}, Headers: []policy.HeaderMatch{{Name: "X-V", Value: "1"}}},
		{Paths: []policy.PathMatch{{Type: "exact", Value: "/@s%2fn"}, {Type: "regex", Value: "/r/[0-9]+"}}},
	}})
	v1, v2, both := map[string][]string{"x-v": {"1"}}, map[string][]string{"x-v": {"2"}}, map[string][]string{"x-v": {"1", "2"}}
	for _, c := range []struct {
		method, target string
		header         map[string][]string
		allow          bool
	}{
		{"GET", "/a/b", v1, true}, {"GET", "/a/b", v2, false}, {"GET", "/a/b", both, false}, {"GET", "/a/b", nil, false}, {"POST", "/a/b", v1, false}, {"GET", "/a", v1, false},
		{"GET", "/a/%2fb", v1, false}, {"GET", "/a//b", v1, false}, {"GET", "/a/;b", v1, false},
		{"PUT", "/@s%2Fn", nil, true}, {"PUT", "/@s/n", nil, false}, {"GET", "/r/12", nil, true}, {"GET", "/r/12/x", nil, false}, {"GET", "/x/r/12", nil, false}, {"GET", "/r/1%0", nil, false},
	} {
		q, err := policy.NewRequest(c.method, "a.example", 443, c.target, func(name string) []string { return c.header[strings.ToLower(name)] })
		if got := err == nil && rules.Decide(q).Allow; got != c.allow {
			t.Errorf("%s %s %v: %v", c.method, c.target, c.header, got)
		}
	}
}

func TestGitIsRecognisedHoweverItIsSpelled(t *testing.T) {
	rules := compile(t, policy.Route{Host: "none.example"}, policy.Route{Host: "fetch.example", Git: policy.GitFetch})
	receive := map[string][]string{"content-type": {"application/x-git-receive-pack-request"}}
	for _, c := range []struct {
		method, target string
		header         map[string][]string
		push           bool
	}{
		{"POST", "/a/git-receive-pack", nil, true}, {"POST", "/a/GIT-Receive-Pack", nil, true}, {"POST", "/a/git%2Dreceive%2dpack", nil, true},
		{"POST", "/a/git%252Dreceive-pack", nil, true}, {"POST", "/a/x", receive, true}, {"GET", "/a/info/refs?service=git-receive-pack", nil, true},
		{"GET", "/a/info/refs?service=git-upload-pack&service=git%2dreceive-pack", nil, true}, {"PUT", "/a.git/gitlab-lfs/objects/x/1", nil, true},
		{"POST", "/a/git-upload-pack", nil, false}, {"GET", "/a/info/refs?service=git-upload-pack", nil, false}, {"GET", "/a/info/refs", nil, false},
		{"GET", "/a.git/HEAD", nil, false}, {"GET", "/a.git/objects/info/packs", nil, false}, {"POST", "/a/info/lfs/objects/batch", nil, false},
	} {
		for _, host := range []string{"none.example", "fetch.example"} {
			d := rules.Decide(ask(t, c.method, host, 443, c.target, c.header))
			if want := !c.push && host == "fetch.example"; d.Allow != want {
				t.Errorf("%s %s%s: %+v", c.method, host, c.target, d)
			}
			if !d.Allow && (d.Layer != policy.LayerGit || d.Approvable) {
				t.Errorf("%s %s%s: %+v", c.method, host, c.target, d)
			}
		}
	}
	if !rules.Decide(ask(t, "GET", "none.example", 443, "/repos/a/git/refs", nil)).Allow {
		t.Error("an API path is taken for git")
	}
}

func TestCompileRefusesABadSetWhole(t *testing.T) {
	good := policy.Route{Host: "good.example"}
	for name, bad := range map[string]policy.Route{
		"no host": {}, "upper case": {Host: "A.example"}, "a trailing dot": {Host: "a.example."}, "a star inside": {Host: "a.*.example"},
		"a star alone": {Host: "*"}, "a star on an address": {Host: "*.1.2.3.4"}, "an address spelled oddly": {Host: "0x7f.1"}, "port 0": {Host: "a.example", Ports: []uint16{0}},
		"an unknown mode": {Host: "a.example", TLS: "off"}, "an unknown git mode": {Host: "a.example", Git: "push"},
		"passed through with a credential": {Host: "a.example", TLS: policy.TLSPassthrough, Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "A"}},
		"passed through with matches":      {Host: "a.example", TLS: policy.TLSPassthrough, Matches: []policy.Match{{Methods: []string{"GET"}}}},
		"passed through and opened":        {Host: "good.example", TLS: policy.TLSPassthrough},
		"no token":                         {Host: "a.example", Auth: &policy.Auth{Scheme: "Bearer"}}, "an unknown scheme": {Host: "a.example", Auth: &policy.Auth{Scheme: "Digest", TokenRef: "A"}},
		"basic without a name": {Host: "a.example", Auth: &policy.Auth{Scheme: "basic", TokenRef: "A"}}, "a header that frames": {Host: "a.example", Auth: &policy.Auth{Scheme: "header", Name: "Host", TokenRef: "A"}},
		"a bad regex":    {Host: "a.example", Matches: []policy.Match{{Paths: []policy.PathMatch{{Type: "regex", Value: "("}}}}},
		"a bad path":     {Host: "a.example", Matches: []policy.Match{{Paths: []policy.PathMatch{{Type: "prefix", Value: "a/../b"}}}}},
		"no path type":   {Host: "a.example", Matches: []policy.Match{{Paths: []policy.PathMatch{{Value: "/a"}}}}},
		"a lower method": {Host: "a.example", Matches: []policy.Match{{Methods: []string{"get"}}}},
	} {
		if rules, err := policy.Compile(policy.Set{Routes: []policy.Route{good, bad}}); err == nil || rules != nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestExplainAgreesWithDecide(t *testing.T) {
	rules := compile(t, policy.Route{Host: "a.example", Matches: []policy.Match{{Methods: []string{"GET"}}}}, policy.Route{Host: "a.example", Ports: []uint16{8443}})
	d, steps := rules.Explain(ask(t, "POST", "a.example", 8443, "/", nil))
	if !d.Allow || len(steps) != 2 || steps[0].Admits || !steps[1].Admits || steps[0].Why == "" {
		t.Errorf("%+v %+v", d, steps)
	}
}

// naive decides as the documentation of Route reads, with no index and no compilation.
func naive(routes []policy.Route, method, host string, port uint16, path string) bool {
	best := -1
	score := func(r policy.Route) int {
		if r.Host == host {
			return 1000
		}
		if suffix, ok := strings.CutPrefix(r.Host, "*"); ok && strings.HasSuffix(host, suffix) {
			return len(suffix)
		}
		return -1
	}
	for _, r := range routes {
		best = max(best, score(r))
	}
	for _, r := range routes {
		ports := r.Ports
		if len(ports) == 0 {
			ports = []uint16{443, 80}
		}
		if best < 0 || score(r) != best || !slices.Contains(ports, port) {
			continue
		}
		if len(r.Matches) == 0 || slices.ContainsFunc(r.Matches, func(m policy.Match) bool { return naiveMatch(m, method, path) }) {
			return true
		}
	}
	return false
}

func naiveMatch(m policy.Match, method, path string) bool {
	if len(m.Methods) > 0 && !slices.Contains(m.Methods, method) {
		return false
	}
	return len(m.Paths) == 0 || slices.ContainsFunc(m.Paths, func(p policy.PathMatch) bool {
		switch p.Type {
		case "exact":
			return path == p.Value
		case "prefix":
			return strings.HasPrefix(path, p.Value)
		}
		return regexp.MustCompile("^(" + p.Value + ")$").MatchString(path)
	})
}

func TestDecideAgreesWithANaiveMatcher(t *testing.T) { rapid.Check(t, agreesWithNaive()) }

func FuzzDecideAgreesWithANaiveMatcher(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agreesWithNaive())) }

// agreesWithNaive draws a policy and a request and compares the two verdicts.
func agreesWithNaive() func(*rapid.T) {
	label := rapid.SampledFrom([]string{"a", "b", "c"})
	name := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(append(rapid.SliceOfN(label, 1, 3).Draw(t, "labels"), "example"), ".")
	})
	path := rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(label, 0, 3).Draw(t, "segments"), "/")
	})
	port := rapid.SampledFrom([]uint16{80, 443, 8443})
	method := rapid.SampledFrom([]string{"GET", "POST"})
	pathMatch := rapid.Custom(func(t *rapid.T) policy.PathMatch {
		kind := rapid.SampledFrom([]string{"prefix", "exact", "regex"}).Draw(t, "type")
		value := path.Draw(t, "value")
		if kind == "regex" {
			value += "(/a|b)*"
		}
		return policy.PathMatch{Type: kind, Value: value}
	})
	match := rapid.Custom(func(t *rapid.T) policy.Match {
		return policy.Match{Methods: rapid.SliceOfN(method, 0, 1).Draw(t, "methods"), Paths: rapid.SliceOfN(pathMatch, 0, 2).Draw(t, "paths")}
	})
	route := rapid.Custom(func(t *rapid.T) policy.Route {
		host := name.Draw(t, "host")
		if rapid.Bool().Draw(t, "wild") {
			host = "*." + host
		}
		return policy.Route{Host: host, Ports: rapid.SliceOfN(port, 0, 2).Draw(t, "ports"), Matches: rapid.SliceOfN(match, 0, 2).Draw(t, "matches")}
	})
	return func(rt *rapid.T) {
		routes := rapid.SliceOfN(route, 0, 5).Draw(rt, "routes")
		m, h, p, q := method.Draw(rt, "m"), name.Draw(rt, "h"), port.Draw(rt, "p"), path.Draw(rt, "q")
		rules, err := policy.Compile(policy.Set{Routes: routes})
		if err != nil {
			rt.Fatal(err)
		}
		asked, err := policy.NewRequest(m, h, p, q, nil)
		if err != nil {
			rt.Fatal(err)
		}
		got := rules.Decide(asked).Allow
		if want := naive(routes, m, h, p, q); got != want {
			rt.Fatal(fmt.Sprintf("%s %s:%d%s: %v, the naive matcher says %v", m, h, p, q, got, want))
		}
	}
}

func TestAnAddressThatIsNotPublicIsNeverAQuestion(t *testing.T) {
	rules, err := policy.Compile(policy.Set{})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"169.254.169.254", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "100.100.100.200", "10.0.0.5", "127.0.0.1", "0.0.0.0"} {
		canonical, err := policy.CanonicalHost(host)
		if err != nil {
			continue // what has no canonical form is refused before
		}
		if d := rules.DecideHost(canonical, 80); d.Allow || d.Approvable || d.Layer != policy.LayerAddress {
			t.Errorf("%s: %+v", host, d)
		}
	}
	if d := rules.DecideHost("8.8.8.8", 443); d.Allow || !d.Approvable {
		t.Errorf("a public address: %+v", d)
	}
}
