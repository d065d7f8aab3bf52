package manifest_test

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// example is the whole of a bottle, as the manual shows it.
const example = `extends: base                       # or a list, folded left to right
env:
  LOG_LEVEL: debug                  # literal
  NPM_TOKEN: ${NPM_TOKEN}           # forwarded from the host by name (whole string only)
  DB_PASSWORD: "?Database password" # asked on the terminal, not echoed; "?" alone: default prompt
agent_provider:
  template: claude                  # claude | codex | a plugin's name
  dockerfile: ./Dockerfile          # ~ expands; relative to the caller's directory
  auth_token: BOT_BOTTLE_CLAUDE_OAUTH_TOKEN   # claude: name of the host variable
  forward_host_credentials: false   # codex: use the host's own login
workspace: copy                     # copy | none. Default none; the built-in bottles say copy
git-gate:
  user: {name: Bot, email: bot@example.org}
  repos:
    app:                            # [A-Za-z0-9._-]+
      url: ssh://git@git.example.org:22/team/app.git
      key: {provider: static, path: ~/.ssh/app_deploy}   # ` + "`identity: PATH`" + ` is the older form
      host_key: "git.example.org ssh-ed25519 AAAA…"       # absent: pushes fail closed
      extra_hosts: {git.example.org: 100.64.0.7}
egress:
  log: summary                      # summary | full (adds paths and header names, never values)
  upstream_proxy: ${HTTPS_PROXY}    # a company's proxy to dial through; default: none
  routes:
    - host: api.github.com          # one entry per host, case-insensitive
      matches:                      # absent: everything on the host. Entries OR, fields within AND
        - paths: [{type: prefix, value: /repos/acme/}]   # prefix | exact | regex
          methods: [GET, POST]
          headers: [{name: accept, value: application/json}]
      auth: {scheme: Bearer, token_ref: GH_TOKEN}        # both required when auth is present
      tls: intercept                # intercept (default) | passthrough
      allow_private: [10.1.0.0/16]  # private ranges this host may resolve to; default none
      ports: [443]                  # default 443 and 80
      git: none                     # none (default) | fetch: HTTPS clone and fetch without the gate
      connect_to: 127.0.0.1:8443    # dial here instead; the name, SNI and certificate check stay
      upstream_ca: ./corp-ca.pem    # trusted for this host besides the system's roots
      dlp:
        outbound_detectors: [token_patterns, known_secrets, entropy]   # or false
        inbound_detectors: [naive_injection_detection]                 # or false
        outbound_on_match: supervise                     # block | redact | supervise
supervise: true                     # default true
`

// hostKey makes a key of the right form.
func hostKey() string {
	kind := "ssh-ed25519"
	blob := binary.BigEndian.AppendUint32(nil, uint32(len(kind)))
	blob = binary.BigEndian.AppendUint32(append(blob, kind...), 32)
	blob = append(blob, make([]byte, 32)...)
	return "git.example.org " + kind + " " + base64.StdEncoding.EncodeToString(blob)
}

// folder writes files below a fresh directory; the names are relative, the contents whole files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// front makes a file of a frontmatter.
func front(yaml string) string { return "---\n" + yaml + "---\n" }

func open(t *testing.T, opts manifest.Options) *manifest.Library {
	t.Helper()
	l, err := manifest.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// home opens a library over bottles (and "agents/…" files) given by frontmatter.
func home(t *testing.T, files map[string]string) *manifest.Library {
	t.Helper()
	whole := map[string]string{}
	for name, yaml := range files {
		if filepath.Dir(name) == "." {
			name = "bottles/" + name
		}
		whole[name+".md"] = front(yaml)
	}
	return open(t, manifest.Options{Home: folder(t, whole), Templates: []string{"claude", "codex"}})
}

func TestTheManualsExampleLoadsWhole(t *testing.T) {
	l := home(t, map[string]string{"dev": example, "base": "env: {BASE: 1, LOG_LEVEL: warn}\n"})
	got, err := l.Bottle("dev")
	if err != nil {
		t.Fatal(err)
	}
	want := &manifest.Bottle{
		Name: "dev", Chain: []string{"base", "dev"},
		Env: []manifest.Env{
			{Name: "BASE", Mode: manifest.EnvLiteral, Value: "1"},
			{Name: "DB_PASSWORD", Mode: manifest.EnvAsk, Ref: "Database password"},
			{Name: "LOG_LEVEL", Mode: manifest.EnvLiteral, Value: "debug"},
			{Name: "NPM_TOKEN", Mode: manifest.EnvHost, Ref: "NPM_TOKEN"},
		},
		Provider:  manifest.Provider{Template: "claude", Dockerfile: "./Dockerfile", AuthToken: "BOT_BOTTLE_CLAUDE_OAUTH_TOKEN"},
		Workspace: manifest.WorkspaceCopy,
		Git: manifest.Git{
			User: manifest.GitUser{Name: "Bot", Email: "bot@example.org"},
			Repos: []manifest.Repo{{
				Name: "app", URL: "ssh://git@git.example.org:22/team/app.git",
				Key:        manifest.Key{Provider: "static", Path: "~/.ssh/app_deploy"},
				HostKey:    "git.example.org ssh-ed25519 AAAA…",
				ExtraHosts: map[string]netip.Addr{"git.example.org": netip.MustParseAddr("100.64.0.7")},
			}},
		},
		Egress: manifest.Egress{Log: "summary", UpstreamProxy: "HTTPS_PROXY", OnDeny: policy.OnDenyRefuse, Routes: []manifest.Route{{
			UpstreamCAFile: "./corp-ca.pem",
			Route: policy.Route{
				Host: "api.github.com", Ports: []uint16{443},
				Matches: []policy.Match{{
					Paths:   []policy.PathMatch{{Type: "prefix", Value: "/repos/acme/"}},
					Methods: []string{"GET", "POST"},
					Headers: []policy.HeaderMatch{{Name: "accept", Value: "application/json"}},
				}},
				Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "GH_TOKEN"}, TLS: policy.TLSIntercept,
				AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, Git: policy.GitNone,
				ConnectTo: "127.0.0.1:8443",
				DLP: policy.DLP{Outbound: []string{"token_patterns", "known_secrets", "entropy"},
					Inbound: []string{"naive_injection_detection"}, OnMatch: "supervise"},
			},
		}}},
		Supervise: true,
		From: map[string]string{
			"env.BASE": "base", "env.LOG_LEVEL": "dev", "env.NPM_TOKEN": "dev", "env.DB_PASSWORD": "dev",
			"agent_provider": "dev", "workspace": "dev", "supervise": "dev",
			"git-gate.user.name": "dev", "git-gate.user.email": "dev", "git-gate.repos": "dev", "git-gate.repos.app": "dev",
			"egress": "dev", "egress.log": "dev", "egress.upstream_proxy": "dev", "egress.routes.api.github.com": "dev",
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if w := l.Warnings(); len(w) != 1 || w[0].Field != "git-gate.repos.app.host_key" {
		t.Errorf("warnings %v, want one about the elided host key", w)
	}
}
