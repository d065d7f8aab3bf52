// Package claude runs Claude Code.
//
// Its one rule: the bottle sees a placeholder; the real token is named by reference and put in by
// the sidecar on the one host it belongs to.
package claude

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/login"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// Host is where the Messages API lives.
const Host = "api.anthropic.com"

// Placeholder is what the agent holds instead of a token. The harness takes any text.
const Placeholder = provider.Placeholder

// DefaultToken is the host variable that is used where the manifest names none and it is set.
const DefaultToken = "BOT_BOTTLE_CLAUDE_OAUTH_TOKEN"

// Provider implements provider.Provider.
type Provider struct{}

// Name implements provider.Provider.
func (Provider) Name() string { return "claude" }

// Spec implements provider.Provider.
func (Provider) Spec(r provider.Request) (provider.Spec, error) {
	if r.Settings.ForwardHostCredentials && r.Settings.AuthToken != "" {
		return provider.Spec{}, fault.WithHint(fault.New(fault.Invalid, "agent_provider has both auth_token and forward_host_credentials"), "keep one of the two")
	}
	files, err := files(r)
	if err != nil {
		return provider.Spec{}, err
	}
	return provider.Spec{
		Binary:     provider.Binary{Command: "claude", NPM: "@anthropic-ai/claude-code"},
		Dockerfile: dockerfile,
		Args:       args(r),
		Env: map[string]string{
			"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
			"DISABLE_ERROR_REPORTING":                  "1",
			"DISABLE_AUTOUPDATER":                      "1",
			// Without it an interactive start fetches plugins from two other hosts.
			"CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",
			credential(r.Settings):                                 Placeholder,
		},
		Placeholders: []string{Placeholder},
		Files:        files,
		Routes:       []policy.Route{route(r.Settings)},
		HostSkills:   ".claude/skills",
		GuestSkills:  []string{".claude/skills"},
		Transcript:   ".claude/projects",
		Notes:        notes(r.Settings),
		TokenHint:    "run claude setup-token, which prints a long-lived token",

		TokenHintMissing: "run npx @anthropic-ai/claude-code setup-token, which prints a long-lived token (claude is not installed here; npx comes with npm)",
	}, nil
}

func args(r provider.Request) []string {
	out := []string{"--dangerously-skip-permissions"}
	if r.Prompt != "" && !r.RemoteControl { // the harness refuses the two together
		out = append(out, "--append-system-prompt-file", r.PromptPath)
	}
	if r.Resume {
		out = append(out, "--continue")
	}
	if r.RemoteControl {
		out = append(out, "--remote-control")
	}
	out = append(out, r.Args...)
	if r.Headless {
		out = append(out, "-p", r.Task)
	}
	return out
}

// keyed reports whether the token is an API key, which the name of its variable says: the value is
// not known here.
func keyed(s provider.Settings) bool { return strings.HasSuffix(s.AuthToken, "_API_KEY") }

// credential is the variable in which the harness looks for its login.
func credential(s provider.Settings) string {
	if keyed(s) {
		return "ANTHROPIC_API_KEY"
	}
	return "CLAUDE_CODE_OAUTH_TOKEN"
}

func notes(s provider.Settings) []string {
	if keyed(s) {
		return []string{s.AuthToken + " is sent as an API key (X-Api-Key), as its name says"}
	}
	return nil
}

// route is the one the provider owns. The token goes in as the harness itself would send it.
func route(s provider.Settings) policy.Route {
	auth := &policy.Auth{Scheme: "Bearer", TokenRef: s.AuthToken}
	switch {
	case keyed(s):
		auth.Scheme, auth.Name = "header", "X-Api-Key"
	case s.ForwardHostCredentials:
		auth.TokenRef = login.Prefix + "claude"
	case s.AuthToken == "":
		auth.TokenRef = DefaultToken
	}
	return policy.Route{
		Host:  Host,
		Ports: []uint16{443},
		Auth:  auth,
		DLP:   policy.DLP{OnMatch: "redact"},
		Owner: "claude",
	}
}

// files answer what the harness would ask a person on its first start. With remote control the
// prompt becomes the user's memory file, which the harness reads in every mode.
func files(r provider.Request) ([]plan.File, error) {
	trusted := map[string]bool{"hasTrustDialogAccepted": true}
	projects := map[string]any{plan.Home: trusted}
	if r.Dir != "" {
		projects[r.Dir] = trusted
	}
	known := map[string]any{"hasCompletedOnboarding": true, "autoUpdates": false, "projects": projects}
	if keyed(r.Settings) { // else it asks whether it may use the key; it knows keys by their end
		known["customApiKeyResponses"] = map[string]any{"approved": []string{Placeholder[len(Placeholder)-20:]}, "rejected": []string{}}
	}
	if len(r.Servers) > 0 {
		servers := map[string]any{}
		for _, s := range r.Servers {
			servers[s.Name] = map[string]string{"type": "http", "url": s.URL}
		}
		known["mcpServers"] = servers
	}
	state, err := file(".claude.json", known)
	if err != nil {
		return nil, err
	}
	wanted := map[string]any{"skipDangerousModePermissionPrompt": true}
	if command := statusLine(r.Label, r.Color); command != "" {
		wanted["statusLine"] = map[string]string{"type": "command", "command": command}
	}
	settings, err := file(".claude/settings.json", wanted)
	if err != nil {
		return nil, err
	}
	out := []plan.File{state, settings}
	if r.RemoteControl && r.Prompt != "" {
		out = append(out, plan.File{Path: path.Join(plan.Home, ".claude/CLAUDE.md"), Mode: 0o600, Content: r.Prompt + "\n"})
	}
	return out, nil
}

func file(name string, content any) (plan.File, error) {
	body, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return plan.File{}, fault.New(fault.Internal, "cannot encode %s: %w", name, err)
	}
	return plan.File{Path: path.Join(plan.Home, name), Mode: 0o600, Content: string(body) + "\n"}, nil
}
