package codex_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/login"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/codex"
	"github.com/bot-bottle/bot-bottle/internal/provider/providertest"
)

func TestContract(t *testing.T) {
	t.Run("an API key", func(t *testing.T) {
		providertest.Run(t, codex.Provider{}, provider.Settings{AuthToken: "SOME_KEY"})
	})
	t.Run("a login", func(t *testing.T) {
		providertest.Run(t, codex.Provider{}, provider.Settings{ForwardHostCredentials: true})
	})
}

func TestArguments(t *testing.T) {
	const skip, repo = "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check"
	const read = "Read /p first, and follow it in everything you do."
	for _, tt := range []struct {
		name    string
		request provider.Request
		want    []string
	}{
		{"nothing", provider.Request{}, []string{skip}},
		{"a prompt", provider.Request{Prompt: "p", PromptPath: "/p"}, []string{skip, "--", read}},
		{"a task", provider.Request{Headless: true, Task: "-do it"}, []string{"exec", repo, skip, "--", "-do it"}},
		{"a task with a prompt", provider.Request{Headless: true, Task: "do it", Prompt: "p", PromptPath: "/p"}, []string{"exec", repo, skip, "--", read + "\n\ndo it"}},
		{"a resume", provider.Request{Resume: true, Prompt: "p", PromptPath: "/p"}, []string{"resume", "--last", skip}},
		{"a headless resume", provider.Request{Resume: true, Headless: true, Task: "go on"}, []string{"exec", "resume", "--last", repo, skip, "--", "go on"}},
		{"arguments", provider.Request{Headless: true, Task: "t", Args: []string{"--model", "m"}}, []string{"exec", repo, skip, "--model", "m", "--", "t"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec, err := codex.Provider{}.Spec(tt.request)
			if err != nil || !slices.Equal(spec.Args, tt.want) {
				t.Errorf("%q, %v", spec.Args, err)
			}
		})
	}
}

func file(t *testing.T, s provider.Spec, name string) plan.File {
	t.Helper()
	i := slices.IndexFunc(s.Files, func(f plan.File) bool { return f.Path == plan.Home+"/.codex/"+name })
	if i < 0 {
		t.Fatalf("no %s", name)
	}
	return s.Files[i]
}

func TestTheDummyLoginHasTheFactsAndNoValue(t *testing.T) {
	facts := provider.Login{Expires: time.Unix(1900000000, 0), Renewed: time.Unix(1800000000, 0), Account: "acct", Plan: "pro"}
	spec, err := codex.Provider{}.Spec(provider.Request{Settings: provider.Settings{ForwardHostCredentials: true}, Login: &facts})
	if err != nil {
		t.Fatal(err)
	}
	auth := file(t, spec, "auth.json")
	if !auth.Again {
		t.Error("a resumed bottle keeps the facts of an old login")
	}
	var content struct {
		Key    *string           `json:"OPENAI_API_KEY"`
		Tokens map[string]string `json:"tokens"`
		Last   time.Time         `json:"last_refresh"`
	}
	if err := json.Unmarshal([]byte(auth.Content), &content); err != nil || content.Key != nil {
		t.Fatalf("%v\n%s", err, auth.Content)
	}
	parts := strings.Split(content.Tokens["access_token"], ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JSON web token", content.Tokens["access_token"])
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !strings.Contains(string(claims), `"exp":1900000000`) || !strings.Contains(string(claims), `"chatgpt_account_id":"acct"`) {
		t.Errorf("claims %s, %v", claims, err)
	}
	if !slices.Contains(spec.Placeholders, parts[2]) || !slices.Contains(spec.Placeholders, content.Tokens["refresh_token"]) {
		t.Error("a token of the dummy login would not be recognised elsewhere")
	}
	if content.Tokens["account_id"] != "acct" || !content.Last.Equal(facts.Renewed) {
		t.Errorf("%+v", content)
	}
	for _, r := range spec.Routes {
		if r.Auth.TokenRef != login.Prefix+"codex" || r.DLP.OnMatch != "redact" {
			t.Errorf("%+v", r)
		}
	}
}

// TestOnlyTheHarnesssOwnPathsAreOpen keeps the login from what else it could do.
func TestOnlyTheHarnesssOwnPathsAreOpen(t *testing.T) {
	spec, err := codex.Provider{}.Spec(provider.Request{Settings: provider.Settings{ForwardHostCredentials: true}})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := policy.Compile(policy.Set{Routes: spec.Routes})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]bool{
		"POST chatgpt.com/backend-api/codex/responses":       true,
		"GET chatgpt.com/backend-api/codex/models?x=1":       true,
		"GET chatgpt.com/backend-api/wham/accounts/check":    true,
		"GET chatgpt.com/backend-api/conversations":          false,
		"GET chatgpt.com/backend-api/codex/../conversations": false,
		"POST chatgpt.com/backend-api/wham/tasks":            false,
		"POST chatgpt.com/backend-api/ps/mcp":                false,
		"POST api.openai.com/v1/responses":                   true,
		"GET api.openai.com/v1/models":                       true,
		"POST api.openai.com/v1/files":                       false,
		"GET api.openai.com/v1/organization/admin_api_keys":  false,
	} {
		if got := allowed(t, rules, target); got != want {
			t.Errorf("%s: %v", target, got)
		}
	}
}

func allowed(t *testing.T, rules *policy.Rules, line string) bool {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	host, path, _ := strings.Cut(target, "/")
	q, err := policy.NewRequest(method, host, 443, "/"+path, nil)
	return err == nil && rules.Decide(q).Allow
}

func TestConfig(t *testing.T) {
	spec, err := codex.Provider{}.Spec(provider.Request{Dir: plan.Workspace, Servers: []provider.Server{{Name: "supervise", URL: "http://supervise/mcp"}}})
	if err != nil {
		t.Fatal(err)
	}
	config := file(t, spec, "config.toml").Content
	for _, want := range []string{
		"[projects.\"/home/node\"]\ntrust_level = \"trusted\"\n", "[projects.\"/home/node/workspace\"]\ntrust_level = \"trusted\"\n",
		"[mcp_servers.supervise]\nurl = \"http://supervise/mcp\"\n",
	} {
		if !strings.Contains(config, want) {
			t.Errorf("no %q in\n%s", want, config)
		}
	}
	if spec.Env["CODEX_CA_CERTIFICATE"] != plan.CABundle || spec.Env[codex.DefaultToken] != provider.Placeholder {
		t.Errorf("%v", spec.Env)
	}
	if len(spec.Routes) != 1 || spec.Routes[0].Host != codex.APIHost || spec.Routes[0].Auth.TokenRef != codex.DefaultToken {
		t.Errorf("%+v", spec.Routes)
	}
}

func TestImpossibleRequests(t *testing.T) {
	for name, r := range map[string]provider.Request{
		"remote control": {RemoteControl: true},
		"two logins":     {Settings: provider.Settings{AuthToken: "A", ForwardHostCredentials: true}},
	} {
		if _, err := (codex.Provider{}).Spec(r); err == nil || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
