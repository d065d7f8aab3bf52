package claude_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/login"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/provider/providertest"
)

func TestContract(t *testing.T) {
	providertest.Run(t, claude.Provider{}, provider.Settings{AuthToken: "SOME_TOKEN"})
}

func TestArguments(t *testing.T) {
	const skip, file = "--dangerously-skip-permissions", "--append-system-prompt-file"
	for _, tt := range []struct {
		name    string
		request provider.Request
		want    []string
	}{
		{"nothing", provider.Request{}, []string{skip}},
		{"a prompt", provider.Request{Prompt: "p", PromptPath: "/p"}, []string{skip, file, "/p"}},
		{"a task", provider.Request{Headless: true, Task: "do it"}, []string{skip, "-p", "do it"}},
		{"a resume", provider.Request{Resume: true}, []string{skip, "--continue"}},
		{"remote control has no system prompt", provider.Request{Prompt: "p", PromptPath: "/p", RemoteControl: true}, []string{skip, "--remote-control"}},
		{"arguments before the task", provider.Request{Headless: true, Task: "t", Args: []string{"--model", "m"}}, []string{skip, "--model", "m", "-p", "t"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec, err := claude.Provider{}.Spec(tt.request)
			if err != nil || !slices.Equal(spec.Args, tt.want) {
				t.Errorf("%q, %v", spec.Args, err)
			}
		})
	}
}

func TestTheAgentHoldsAPlaceholder(t *testing.T) {
	spec, err := claude.Provider{}.Spec(provider.Request{Settings: provider.Settings{AuthToken: "MY_TOKEN"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := spec.Env["CLAUDE_CODE_OAUTH_TOKEN"]; got != claude.Placeholder {
		t.Errorf("the agent holds %q", got)
	}
	if r := spec.Routes[0]; r.Host != claude.Host || r.Auth.TokenRef != "MY_TOKEN" || r.Auth.Scheme != "Bearer" || r.DLP.OnMatch != "redact" {
		t.Errorf("%+v", r)
	}
	spec, err = claude.Provider{}.Spec(provider.Request{})
	if err != nil || spec.Routes[0].Auth.TokenRef != claude.DefaultToken {
		t.Errorf("%+v, %v", spec.Routes, err)
	}
}

func TestRemoteControlReadsThePromptAsAMemory(t *testing.T) {
	spec, err := claude.Provider{}.Spec(provider.Request{Prompt: "Be brief.", RemoteControl: true})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(spec.Files, func(f plan.File) bool { return strings.HasSuffix(f.Path, "/.claude/CLAUDE.md") })
	if at < 0 || spec.Files[at].Content != "Be brief.\n" {
		t.Errorf("%+v", spec.Files)
	}
}

func TestCredentials(t *testing.T) {
	for name, tc := range map[string]struct {
		settings       provider.Settings
		variable, ref  string
		scheme, header string
	}{
		"nothing named":      {provider.Settings{}, "CLAUDE_CODE_OAUTH_TOKEN", claude.DefaultToken, "Bearer", ""},
		"a long-lived token": {provider.Settings{AuthToken: "MY_TOKEN"}, "CLAUDE_CODE_OAUTH_TOKEN", "MY_TOKEN", "Bearer", ""},
		"an API key":         {provider.Settings{AuthToken: "ANTHROPIC_API_KEY"}, "ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY", "header", "X-Api-Key"},
		"the host's login":   {provider.Settings{ForwardHostCredentials: true}, "CLAUDE_CODE_OAUTH_TOKEN", login.Prefix + "claude", "Bearer", ""},
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, claude.Provider{}, tc.settings)
			spec, err := claude.Provider{}.Spec(provider.Request{Settings: tc.settings})
			if err != nil {
				t.Fatal(err)
			}
			auth := spec.Routes[0].Auth
			if auth.TokenRef != tc.ref || auth.Scheme != tc.scheme || auth.Name != tc.header || spec.Env[tc.variable] != claude.Placeholder {
				t.Errorf("%+v %v", auth, spec.Env)
			}
		})
	}
	_, err := claude.Provider{}.Spec(provider.Request{Settings: provider.Settings{ForwardHostCredentials: true, AuthToken: "A"}})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("two logins: %v", err)
	}
}

// TestTheStatusLineShowsTheLabelAndRunsNothingElse gives it to a shell, as the harness does.
func TestTheStatusLineShowsTheLabelAndRunsNothingElse(t *testing.T) {
	for label, color := range map[string]string{"night shift": "", "it's; $(touch ran) `touch ran` %s \\033": "red", "plain": "#ff8800"} {
		spec, err := claude.Provider{}.Spec(provider.Request{Label: label, Color: color})
		if err != nil {
			t.Fatal(err)
		}
		var settings struct {
			StatusLine struct{ Type, Command string }
		}
		i := slices.IndexFunc(spec.Files, func(f plan.File) bool { return strings.HasSuffix(f.Path, "/settings.json") })
		if err := json.Unmarshal([]byte(spec.Files[i].Content), &settings); err != nil || settings.StatusLine.Type != "command" {
			t.Fatalf("%v %+v", err, settings)
		}
		shell := exec.CommandContext(t.Context(), "sh", "-c", settings.StatusLine.Command)
		shell.Dir = t.TempDir()
		out, err := shell.Output()
		want := label
		if code := provider.ColorCode(color); code != "" {
			want = "\x1b[" + code + "m" + label + "\x1b[0m"
		}
		if err != nil || string(out) != want {
			t.Errorf("%q shows %q, %v", label, out, err)
		}
		if left, _ := os.ReadDir(shell.Dir); len(left) > 0 {
			t.Errorf("%q ran something", label)
		}
	}
}

func TestServersAreTheAgentsOwn(t *testing.T) {
	spec, err := claude.Provider{}.Spec(provider.Request{Servers: []provider.Server{{Name: "supervise", URL: "http://supervise/mcp"}}})
	if err != nil || !strings.Contains(spec.Files[0].Content, `"url": "http://supervise/mcp"`) || !strings.Contains(spec.Files[0].Content, `"type": "http"`) {
		t.Errorf("%v\n%s", err, spec.Files[0].Content)
	}
}
