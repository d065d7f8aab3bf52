// Package claude runs Claude Code.
//
// Its one rule: the bottle sees a placeholder; the real token is named by reference and put in by
// the sidecar on the one host it belongs to.
package claude

import (
	"encoding/json"
	"path"

	"github.com/bot-bottle/bot-bottle/internal/fault"
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
	if r.Settings.ForwardHostCredentials {
		return provider.Spec{}, fault.WithHint(fault.New(fault.Unsupported, "agent_provider.forward_host_credentials is not available for claude"),
			"set agent_provider.auth_token to the name of a host variable that holds a token (claude setup-token makes one)")
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
			"CLAUDE_CODE_OAUTH_TOKEN":                              Placeholder,
		},
		Placeholders: []string{Placeholder},
		Files:        files,
		Routes:       []policy.Route{route(r.Settings)},
		HostSkills:   ".claude/skills",
		GuestSkills:  []string{".claude/skills"},
		Transcript:   ".claude/projects",
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

// route is the one the provider owns. The token goes in as the harness itself would send it.
func route(s provider.Settings) policy.Route {
	token := s.AuthToken
	if token == "" {
		token = DefaultToken
	}
	return policy.Route{
		Host:  Host,
		Ports: []uint16{443},
		Auth:  &policy.Auth{Scheme: "Bearer", TokenRef: token},
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
	state, err := file(".claude.json", map[string]any{
		"hasCompletedOnboarding": true, "autoUpdates": false, "projects": projects,
	})
	if err != nil {
		return nil, err
	}
	settings, err := file(".claude/settings.json", map[string]any{"skipDangerousModePermissionPrompt": true})
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
