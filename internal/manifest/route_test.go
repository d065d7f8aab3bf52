package manifest_test

import (
	"encoding/base64"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func TestRoutesLoadCanonical(t *testing.T) {
	prefixes := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.1/32"), netip.MustParsePrefix("fd00::/64")}
	for _, tt := range []struct {
		name, yaml string
		want       policy.Route
	}{
		{"a host in its one spelling", "host: API.Example.ORG.", policy.Route{Host: "api.example.org"}},
		{"an international name", "host: Bücher.example", policy.Route{Host: "xn--bcher-kva.example"}},
		{"a wildcard", `host: "*.Example.org"`, policy.Route{Host: "*.example.org"}},
		{"a single label", "host: localhost", policy.Route{Host: "localhost"}},
		{"an address", "host: 192.0.2.1", policy.Route{Host: "192.0.2.1"}},
		{"an address in brackets", `host: "[2001:4860:4860::8888]"`, policy.Route{Host: "2001:4860:4860::8888"}},
		{"a name that looks like an A-label", "host: r3---sn.example.org", policy.Route{Host: "r3---sn.example.org"}},
		{"ranges are masked, addresses are ranges of one", `{host: a.example, allow_private: [10.1.2.3/16, 10.2.0.1, "fd00::1/64"]}`,
			policy.Route{Host: "a.example", AllowPrivate: prefixes}},
		{"methods in upper case", "{host: a.example, matches: [{methods: [get, Post]}]}",
			policy.Route{Host: "a.example", Matches: []policy.Match{{Methods: []string{"GET", "POST"}}}}},
		{"a regular expression", `{host: a.example, matches: [{paths: [{type: regex, value: "/v[0-9]+/.*"}]}]}`,
			policy.Route{Host: "a.example", Matches: []policy.Match{{Paths: []policy.PathMatch{{Type: "regex", Value: "/v[0-9]+/.*"}}}}}},
		{"detectors switched off", "{host: a.example, dlp: {outbound_detectors: false, inbound_detectors: false}}",
			policy.Route{Host: "a.example", DLP: policy.DLP{OutboundOff: true, InboundOff: true}}},
		{"connect_to by name", `{host: a.example, connect_to: "Localhost:8443"}`, policy.Route{Host: "a.example", ConnectTo: "localhost:8443"}},
		{"a database", "{host: db.example, protocol: tcp, ports: [5432], allow_private: [10.1.0.0/16]}",
			policy.Route{Host: "db.example", Protocol: policy.ProtocolTCP, Ports: []uint16{5432}, AllowPrivate: prefixes[:1]}},
		{"protocol: http is the default", "{host: a.example, protocol: http}", policy.Route{Host: "a.example"}},
		{"connect_to by IPv6", `{host: a.example, connect_to: "[::1]:8443"}`, policy.Route{Host: "a.example", ConnectTo: "[::1]:8443"}},
		{"basic", "{host: a.example, auth: {scheme: basic, username: u, token_ref: file:~/t}}",
			policy.Route{Host: "a.example", Auth: &policy.Auth{Scheme: "basic", Username: "u", TokenRef: "file:~/t"}}},
		{"header", "{host: a.example, auth: {scheme: header, name: X-Api-Key, token_ref: keyring:s/u}}",
			policy.Route{Host: "a.example", Auth: &policy.Auth{Scheme: "header", Name: "X-Api-Key", TokenRef: "keyring:s/u"}}},
		{"a command", "{host: a.example, auth: {scheme: token, token_ref: \"cmd:pass show x\"}}",
			policy.Route{Host: "a.example", Auth: &policy.Auth{Scheme: "token", TokenRef: "cmd:pass show x"}}},
		{"a long variable that begins like a token", "{host: a.example, auth: {scheme: token, token_ref: npm_config_registry_auth_token}}",
			policy.Route{Host: "a.example", Auth: &policy.Auth{Scheme: "token", TokenRef: "npm_config_registry_auth_token"}}},
		{"the older path_allowlist", "{host: a.example, path_allowlist: [/a, /b/]}",
			policy.Route{Host: "a.example", Matches: []policy.Match{{Paths: []policy.PathMatch{{Type: "prefix", Value: "/a"}, {Type: "prefix", Value: "/b/"}}}}}},
		{"the older pipelock", "{host: a.example, pipelock: {tls_passthrough: true, ssrf_ip_allowlist: [10.1.0.0/16]}}",
			policy.Route{Host: "a.example", TLS: policy.TLSPassthrough, AllowPrivate: prefixes[:1]}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := home(t, map[string]string{"a": "egress:\n  routes:\n    - " + tt.yaml + "\n"}).Bottle("a")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.Egress.Routes[0].Route, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUpstreamProxy(t *testing.T) {
	for written, want := range map[string]string{
		"${CORP_PROXY}":                   "CORP_PROXY",
		"http://proxy.example.org:3128":   "literal:http://proxy.example.org:3128",
		"file:~/.proxy":                   "file:~/.proxy",
		"keyring:proxy/me":                "keyring:proxy/me",
		"https://proxy.example.org:3129/": "literal:https://proxy.example.org:3129/",
	} {
		b, err := home(t, map[string]string{"a": "egress: {upstream_proxy: \"" + written + "\"}\n"}).Bottle("a")
		if err != nil || b.Egress.UpstreamProxy != want {
			t.Errorf("%s: %+v, %v", written, b, err)
		}
	}
	for _, written := range []string{"CORP_PROXY", "ftp://x", "http://", "http://x/path", "${A}${B}"} {
		if b, err := home(t, map[string]string{"a": "egress: {upstream_proxy: \"" + written + "\"}\n"}).Bottle("a"); err == nil {
			t.Errorf("%s was accepted: %q", written, b.Egress.UpstreamProxy)
		}
	}
}

func TestRepositoriesOfTheGate(t *testing.T) {
	key := "key: {provider: static, path: ~/.ssh/k}"
	for _, tt := range []struct{ name, yaml, url string }{
		{"a URL", "{url: \"ssh://git@git.example.org:2222/~team/app.git\", " + key + "}", "ssh://git@git.example.org:2222/~team/app.git"},
		{"the short form", "{url: \"git@git.example.org:team/app.git\", " + key + "}", "git@git.example.org:team/app.git"},
		{"no user", "{url: \"git.example.org:team/app.git\", identity: ~/.ssh/k}", "git.example.org:team/app.git"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := home(t, map[string]string{"a": "git-gate: {repos: {app: " + tt.yaml + "}}\n"})
			b, err := l.Bottle("a")
			if err != nil {
				t.Fatal(err)
			}
			want := []manifest.Repo{{Name: "app", URL: tt.url, Key: manifest.Key{Provider: "static", Path: "~/.ssh/k"}}}
			if diff := cmp.Diff(want, b.Git.Repos); diff != "" {
				t.Error(diff)
			}
		})
	}
	l := home(t, map[string]string{"a": "git-gate: {repos: {app: {url: \"git@h.example:x\", host_key: " + hostKey() +
		", provisioned_key: {provider: gitea, token_ref: FORGE, api_url: \"https://h.example/api/v1\"}}}}\n"})
	b, err := l.Bottle("a")
	want := manifest.Key{Provider: "gitea", TokenRef: "FORGE", APIURL: "https://h.example/api/v1"}
	if err != nil || b.Git.Repos[0].Key != want || b.Git.Repos[0].HostKey != hostKey() || len(l.Warnings()) != 1 {
		t.Errorf("%+v, %v, %v", b, err, l.Warnings())
	}
}

func TestAHostKeyThatIsNotOfItsTypeIsAWarning(t *testing.T) {
	trailing := "git.example.org ssh-ed25519 " + base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x01kx"))
	bare := "git.example.org ssh-ed25519 " + base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x0bssh-ed25519"))
	for line, want := range map[string]int{hostKey(): 0, trailing: 1, bare: 1, strings.Replace(hostKey(), "ssh-ed25519", "ssh-rsa", 1): 1, hostKey() + "!": 1, hostKey()[:60]: 1} {
		l := home(t, map[string]string{"a": "git-gate: {repos: {app: {url: \"git@h.example:x\", key: {provider: static, path: k}, host_key: \"" + line + "\"}}}\n"})
		if _, err := l.Bottle("a"); err != nil || len(l.Warnings()) != want {
			t.Errorf("%s: %v, %v", line, err, l.Warnings())
		}
	}
}

func TestAFilesNameCannotDriveTheTerminal(t *testing.T) {
	cwd := folder(t, map[string]string{".bot-bottle/agents/ok.md": ""})
	if err := os.WriteFile(filepath.Join(cwd, ".bot-bottle/agents/\x1b[31mred.md"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	problems, _ := open(t, manifest.Options{Cwd: cwd}).ValidateAll()
	if len(problems) != 2 {
		t.Fatal(problems)
	}
	for _, p := range problems {
		for _, r := range p.String() {
			if r < ' ' {
				t.Errorf("%q holds a control character", p.String())
			}
		}
	}
}
