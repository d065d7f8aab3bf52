// Package codex runs OpenAI's Codex.
//
// Its one rule: the bottle sees a login of the right shape that is worth nothing; the real token is
// named by reference and put in by the sidecar, on the paths that the harness itself uses.
package codex

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/login"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// Where the Responses API lives, for a login of ChatGPT and for an API key.
const (
	ChatHost = "chatgpt.com"
	APIHost  = "api.openai.com"
)

// DefaultToken is the host variable with an API key that is used where the manifest names none.
const DefaultToken = "OPENAI_API_KEY"

// Provider implements provider.Provider and provider.Refresher.
type Provider struct{}

// Name implements provider.Provider.
func (Provider) Name() string { return "codex" }

// Spec implements provider.Provider.
func (Provider) Spec(r provider.Request) (provider.Spec, error) {
	switch {
	case r.RemoteControl:
		return provider.Spec{}, fault.WithHint(fault.New(fault.Unsupported, "codex has no remote control that works in a bottle"), "start it without --remote-control")
	case r.Settings.ForwardHostCredentials && r.Settings.AuthToken != "":
		return provider.Spec{}, fault.WithHint(fault.New(fault.Invalid, "agent_provider has both auth_token and forward_host_credentials"), "keep one of the two")
	}
	auth, routes, err := credentials(r)
	if err != nil {
		return provider.Spec{}, err
	}
	placeholders := []string{provider.Placeholder}
	if r.Settings.ForwardHostCredentials {
		placeholders = append(placeholders, signature())
	}
	env := map[string]string{"CODEX_CA_CERTIFICATE": plan.CABundle}
	if !r.Settings.ForwardHostCredentials {
		env[DefaultToken] = provider.Placeholder
	}
	return provider.Spec{
		Binary:       provider.Binary{Command: "codex", NPM: "@openai/codex"},
		Dockerfile:   dockerfile,
		Args:         args(r),
		Env:          env,
		Placeholders: placeholders,
		Files:        append(auth, config(r)),
		Routes:       routes,
		HostSkills:   ".claude/skills",
		GuestSkills:  []string{".codex/skills", ".claude/skills"},
		Transcript:   ".codex/sessions",

		TokenHint:        "make an API key at platform.openai.com, or set agent_provider.forward_host_credentials: true to use the login of codex login",
		TokenHintMissing: "make an API key at platform.openai.com",
	}, nil
}

// LoginFiles implements provider.Refresher.
func (Provider) LoginFiles(l provider.Login) ([]plan.File, error) { return authFile(l) }

// credentials are the dummy login and the routes that get the real one.
func credentials(r provider.Request) ([]plan.File, []policy.Route, error) {
	if r.Settings.ForwardHostCredentials {
		facts := provider.Login{}
		if r.Login != nil {
			facts = *r.Login
		}
		files, err := authFile(facts)
		ref := login.Prefix + "codex"
		return files, []policy.Route{route(ChatHost, ref, chatPaths()), route(APIHost, ref, apiPaths())}, err
	}
	token := r.Settings.AuthToken
	if token == "" {
		token = DefaultToken
	}
	file, err := keyFile()
	return []plan.File{file}, []policy.Route{route(APIHost, token, apiPaths())}, err
}

func route(host, ref string, matches []policy.Match) policy.Route {
	return policy.Route{
		Host: host, Ports: []uint16{443}, Matches: matches,
		Auth: &policy.Auth{Scheme: "Bearer", TokenRef: ref}, DLP: policy.DLP{OnMatch: "redact"}, Owner: "codex",
	}
}

// chatPaths are what the harness needs of chatgpt.com. The login could do much more: read every
// conversation of its owner, use connected applications, start tasks in the cloud.
func chatPaths() []policy.Match {
	return []policy.Match{
		{Paths: []policy.PathMatch{{Type: "prefix", Value: "/backend-api/codex/"}}},
		{Methods: []string{"GET"}, Paths: []policy.PathMatch{
			{Type: "exact", Value: "/backend-api/wham/accounts/check"},
			{Type: "exact", Value: "/backend-api/wham/usage"},
			{Type: "exact", Value: "/backend-api/wham/settings/user"},
			{Type: "prefix", Value: "/backend-api/wham/config/"},
		}},
	}
}

// apiPaths are what the harness needs of api.openai.com: no files, no fine-tuning, no administration.
func apiPaths() []policy.Match {
	return []policy.Match{
		{Paths: []policy.PathMatch{
			{Type: "exact", Value: "/v1/responses"}, {Type: "prefix", Value: "/v1/responses/"},
			{Type: "exact", Value: "/v1/chat/completions"},
			{Type: "prefix", Value: "/v1/alpha/"}, {Type: "prefix", Value: "/v1/memories/"}, {Type: "prefix", Value: "/v1/images/"},
		}},
		{Methods: []string{"GET"}, Paths: []policy.PathMatch{{Type: "prefix", Value: "/v1/models"}}},
	}
}

// args are the command line. What the harness has no flag for, the system prompt, is asked for in
// the first message. The task follows "--", so that nothing in it is a flag.
func args(r provider.Request) []string {
	flags := []string{"--dangerously-bypass-approvals-and-sandbox"}
	var out []string
	switch {
	case r.Headless && r.Resume:
		out = append([]string{"exec", "resume", "--last", "--skip-git-repo-check"}, flags...)
	case r.Headless:
		out = append([]string{"exec", "--skip-git-repo-check"}, flags...)
	case r.Resume:
		out = append([]string{"resume", "--last"}, flags...)
	default:
		out = flags
	}
	out = append(out, r.Args...)
	said := r.Task
	if r.Prompt != "" && !r.Resume {
		said = "Read " + r.PromptPath + " first, and follow it in everything you do."
		if r.Headless {
			said += "\n\n" + r.Task
		}
	}
	if said != "" {
		out = append(out, "--", said)
	}
	return out
}

// config answers what the harness would ask a person, and turns off what would leave the bottle for
// no good of the task.
func config(r provider.Request) plan.File {
	var b strings.Builder
	b.WriteString("check_for_update_on_startup = false\ncli_auth_credentials_store = \"file\"\n\n" +
		"[analytics]\nenabled = false\n\n[feedback]\nenabled = false\n\n" +
		"[features]\napps = false\nplugins = false\nenable_request_compression = false # so that what must not leave can be redacted\n\n[notice]\nhide_full_access_warning = true\n")
	trusted := map[string]bool{plan.Home: true}
	if r.Dir != "" {
		trusted[r.Dir] = true
	}
	for _, dir := range slices.Sorted(maps.Keys(trusted)) {
		b.WriteString("\n[projects." + strconv.Quote(dir) + "]\ntrust_level = \"trusted\"\n")
	}
	for _, s := range r.Servers {
		b.WriteString("\n[mcp_servers." + s.Name + "]\nurl = " + strconv.Quote(s.URL) + "\n")
	}
	return plan.File{Path: path.Join(plan.Home, ".codex/config.toml"), Mode: 0o600, Content: b.String()}
}
