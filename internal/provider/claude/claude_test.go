package claude_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
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

func TestTheHostsLoginIsNotForwarded(t *testing.T) {
	_, err := claude.Provider{}.Spec(provider.Request{Settings: provider.Settings{ForwardHostCredentials: true}})
	if !fault.Is(err, fault.Unsupported) || !strings.Contains(fault.HintOf(err), "auth_token") {
		t.Errorf("%v; %s", err, fault.HintOf(err))
	}
}
