package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
)

// brief says what merging decides, in one line each.
func brief(b *manifest.Bottle) string {
	var parts []string
	for _, e := range b.Env {
		parts = append(parts, e.Name+"="+e.Value+"@"+b.From["env."+e.Name])
	}
	parts = append(parts, "user "+b.Git.User.Name+"@"+b.From["git-gate.user.name"]+" "+b.Git.User.Email+"@"+b.From["git-gate.user.email"])
	for _, r := range b.Git.Repos {
		parts = append(parts, "repo "+r.Name+" "+r.URL+"@"+b.From["git-gate.repos."+r.Name])
	}
	parts = append(parts, "log "+b.Egress.Log+"@"+b.From["egress.log"], "proxy "+b.Egress.UpstreamProxy)
	for _, r := range b.Egress.Routes {
		parts = append(parts, "route "+r.Host+"@"+b.From["egress.routes."+r.Host])
	}
	supervise := "off"
	if b.Supervise {
		supervise = "on"
	}
	parts = append(parts, "supervise "+supervise+"@"+b.From["supervise"], "workspace "+string(b.Workspace)+"@"+b.From["workspace"],
		"provider "+b.Provider.Template+b.Provider.AuthToken+"@"+b.From["agent_provider"], "chain "+strings.Join(b.Chain, ","))
	return strings.Join(parts, "\n") + "\n"
}

const full = `env: {A: full, B: full}
agent_provider: {template: codex, auth_token: TOK}
workspace: copy
git-gate:
  user: {name: Full, email: full@example.org}
  repos: {one: {url: "git@git.example.org:full", key: {provider: static, path: k}}, two: {url: "git@git.example.org:two", key: {provider: static, path: k}}}
egress: {log: full, upstream_proxy: "${PROXY}", routes: [{host: one.example}, {host: two.example}]}
supervise: false
`

func TestExtends(t *testing.T) {
	other := `env: {B: other, C: other}
git-gate:
  user: {name: Other}
  repos: {one: {url: "git@git.example.org:other", key: {provider: static, path: k}}, three: {url: "git@git.example.org:three", key: {provider: static, path: k}}}
egress: {log: summary, routes: [{host: two.example}, {host: three.example}]}
supervise: true
`
	inherited := "A=full@full\nB=full@full\nuser Full@full full@example.org@full\nrepo one git@git.example.org:full@full\n" +
		"repo two git@git.example.org:two@full\nlog full@full\nproxy PROXY\nroute one.example@full\nroute two.example@full\n" +
		"supervise off@full\nworkspace copy@full\nprovider codexTOK@full\nchain full,child\n"
	for _, tt := range []struct{ name, child, want string }{
		{"nothing declared inherits everything", "extends: full\n", inherited},
		{"a list of one is the same as one", "extends: [full]\n", inherited},
		{"what the child declares replaces the whole", `extends: full
env: {A: child}
agent_provider: {auth_token: MINE}
workspace: none
git-gate: {user: {email: child@example.org}, repos: {four: {url: "git@git.example.org:four", key: {provider: static, path: k}}}}
egress: {routes: [{host: four.example}]}
supervise: true
`, "A=child@child\nB=full@full\nuser Full@full child@example.org@child\nrepo four git@git.example.org:four@child\n" +
			"log summary@\nproxy \nroute four.example@child\nsupervise on@child\nworkspace none@child\nprovider claudeMINE@child\nchain full,child\n"},
		{"an explicit empty clears", "extends: full\nagent_provider: {}\ngit-gate: {repos: {}}\negress: {}\nenv: {}\n",
			"A=full@full\nB=full@full\nuser Full@full full@example.org@full\nlog summary@\nproxy \nsupervise off@full\nworkspace copy@full\nprovider claude@child\nchain full,child\n"},
		{"a key without a value clears as well", "extends: full\nagent_provider:\ngit-gate:\n  repos:\negress:\n",
			"A=full@full\nB=full@full\nuser Full@full full@example.org@full\nlog summary@\nproxy \nsupervise off@full\nworkspace copy@full\nprovider claude@child\nchain full,child\n"},
		{"an empty git-gate declares neither user nor repos", "extends: full\ngit-gate: {}\n", inherited},
		{"of a list the later wins, repos unite, routes concatenate", "extends: [full, other]\n",
			"A=full@full\nB=other@other\nC=other@other\nuser Other@other full@example.org@full\nrepo one git@git.example.org:other@other\n" +
				"repo three git@git.example.org:three@other\nrepo two git@git.example.org:two@full\nlog summary@other\nproxy PROXY\n" +
				"route one.example@full\nroute two.example@other\nroute three.example@other\nsupervise on@other\nworkspace copy@full\nprovider codexTOK@full\nchain full,other,child\n"},
		{"the order of a list matters", "extends: [other, full]\n",
			"A=full@full\nB=full@full\nC=other@other\nuser Full@full full@example.org@full\nrepo one git@git.example.org:full@full\n" +
				"repo three git@git.example.org:three@other\nrepo two git@git.example.org:two@full\nlog full@full\nproxy PROXY\n" +
				"route two.example@full\nroute three.example@other\nroute one.example@full\nsupervise off@full\nworkspace copy@full\nprovider codexTOK@full\nchain other,full,child\n"},
		{"a shared ancestor counts once", "extends: [left, right]\n", strings.Replace(strings.ReplaceAll(inherited, "chain full,child", "chain full,left,right,child"), "B=full@full", "B=left@left", 1)},
		{"the child settles on top of a list", "extends: [full, other]\negress:\nenv: {B: child}\ngit-gate: {repos: }\n",
			"A=full@full\nB=child@child\nC=other@other\nuser Other@other full@example.org@full\nlog summary@\nproxy \nsupervise on@other\nworkspace copy@full\nprovider codexTOK@full\nchain full,other,child\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := home(t, map[string]string{"full": full, "other": other, "left": "extends: full\nenv: {B: left}\n", "right": "extends: full\n", "child": tt.child})
			if tt.name == "a shared ancestor counts once" {
				l = home(t, map[string]string{"full": full, "left": "extends: full\n", "right": "extends: full\nenv: {B: left}\n", "child": tt.child})
				tt.want = strings.Replace(tt.want, "B=left@left", "B=left@right", 1)
			}
			b, err := l.Bottle("child")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, brief(b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSeveralNamedBottlesFoldLikeParents(t *testing.T) {
	files := map[string]string{"a": "env: {X: a}\negress: {routes: [{host: a.example}]}\n",
		"b": "env: {X: b}\negress: {routes: [{host: b.example}]}\n", "child": "extends: [a, b]\n"}
	l := home(t, files)
	folded, err := l.Bottle("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	extended, err := l.Bottle("child")
	if err != nil {
		t.Fatal(err)
	}
	if folded.Name != "a+b" {
		t.Errorf("name %q", folded.Name)
	}
	want := strings.Replace(brief(extended), "a,b,child", "a,b", 1)
	if diff := cmp.Diff(want, brief(folded)); diff != "" {
		t.Error(diff)
	}
	if again, err := l.Bottle("a"); err != nil || len(again.Egress.Routes) != 1 {
		t.Errorf("folding changed a parent: %v %v", again, err)
	}
}

func TestBrokenChains(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		ask   []string
		want  []string // each is part of the error
	}{
		{"a cycle prints the chain", map[string]string{"a": "extends: b\n", "b": "extends: c\n", "c": "extends: a\n"}, []string{"a"},
			[]string{"a.md:2:10: extends: is a cycle: a → b → c → a", "b → c → a → b"}},
		{"what leads to a cycle is not part of it", map[string]string{"x": "extends: a\n", "a": "extends: b\n", "b": "extends: a\n"}, []string{"x"},
			[]string{"2 problems", "a → b → a"}},
		{"itself", map[string]string{"a": "extends: a\n"}, []string{"a"}, []string{"a.md:2:10: extends: the bottle extends itself"}},
		{"a missing parent lists what exists", map[string]string{"a": "extends: [bse]\n", "base": "{}\n"}, []string{"a"},
			[]string{`a.md:2:11: extends[0]: there is no bottle "bse"; did you mean "base"? there are the bottles a, base, claude, codex`}},
		{"no string", map[string]string{"a": "extends: 5\n"}, []string{"a"}, []string{"extends: must be a name, or a list of names, not a number"}},
		{"no string in a list", map[string]string{"a": "extends: [{}]\n"}, []string{"a"}, []string{"extends[0]: must be text, not a mapping"}},
		{"all files of the chain speak", map[string]string{"a": "extends: b\nx: 1\n", "b": "y: 1\n", "unrelated": "z: 1\n"}, []string{"a"},
			[]string{"2 problems", "a.md:3:1: x: ", "b.md:2:1: y: "}},
		{"parents that route a host differently", map[string]string{"a": "egress: {routes: [{host: h.example}]}\n",
			"b": "egress: {routes: [{host: h.example, ports: [80]}]}\n", "c": "extends: [a, b]\n"}, []string{"c"},
			[]string{"c.md:2:14: extends[1]: the bottles a and b have different routes for h.example"}},
		{"named bottles that route a host differently", map[string]string{"a": "egress: {routes: [{host: h.example}]}\n",
			"b": "egress: {routes: [{host: h.example, ports: [80]}]}\n"}, []string{"a", "b"},
			[]string{`cannot use the bottle "a+b": the bottles a and b have different routes for h.example`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := home(t, tt.files).Bottle(tt.ask...)
			var problems manifest.Problems
			if !fault.Is(err, fault.Invalid) || !errors.As(err, &problems) {
				t.Fatalf("got %v, want problems of kind invalid", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant in it %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "unrelated") {
				t.Errorf("%v speaks of another file", err)
			}
		})
	}
}

func TestAChildsOwnEgressSettlesAClash(t *testing.T) {
	l := home(t, map[string]string{"a": "egress: {routes: [{host: h.example}]}\n",
		"b": "egress: {routes: [{host: h.example, ports: [80]}]}\n", "c": "extends: [a, b]\negress: {routes: [{host: h.example}]}\n"})
	if b, err := l.Bottle("c"); err != nil || len(b.Egress.Routes) != 1 {
		t.Fatalf("%v, %v", b, err)
	}
}
