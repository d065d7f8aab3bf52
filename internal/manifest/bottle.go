// Package manifest reads bottles and agents from Markdown files with YAML frontmatter.
//
// Its one rule: a file is read strictly or not at all, and everything that is wrong with it is
// said at once, each thing with its place. Bottles come only from the operator's home; a
// repository can bring agents, never policy.
package manifest

import (
	"net/netip"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Bottle is the effective policy of one or more bottle files: parents folded, defaults set.
type Bottle struct {
	// Name is the bottle's, or for several the names joined with "+".
	Name string `json:"name"`
	// Chain names every bottle that took part, parents before children, each once.
	Chain     []string  `json:"chain"`
	Env       []Env     `json:"env"` // sorted by name
	Provider  Provider  `json:"agent_provider"`
	Workspace Workspace `json:"workspace"`
	Git       Git       `json:"git-gate"`
	Egress    Egress    `json:"egress"`
	Supervise bool      `json:"supervise"`
	// Resources are what the bottle may use of the machine; 0 where it says nothing.
	Resources plan.Limits `json:"resources,omitzero"`
	// From says which bottle a field came from. Its keys are "env.NAME", "agent_provider",
	// "workspace", "supervise", "resources", "git-gate.user.name", "git-gate.user.email",
	// "git-gate.sign", "git-gate.trailer", "git-gate.repos", "git-gate.repos.NAME", "egress", "egress.log", "egress.upstream_proxy",
	// "egress.on_deny", "egress.ask_timeout", "egress.limits" and
	// "egress.routes.HOST" (for a tcp route "egress.routes.HOST/tcp"). A field that no bottle declares has none.
	From map[string]string `json:"from"`
}

// Workspace says whether the caller's directory is brought into the bottle.
type Workspace string

// The workspace modes.
const (
	WorkspaceNone Workspace = "none"
	WorkspaceCopy Workspace = "copy"
)

// EnvMode says where a variable's value comes from.
type EnvMode string

// The modes of a variable.
const (
	EnvLiteral EnvMode = "literal" // the manifest holds the value
	EnvHost    EnvMode = "host"    // forwarded from a variable of the host
	EnvAsk     EnvMode = "ask"     // asked on the terminal, not echoed
)

// Env is one variable of the agent.
type Env struct {
	Name string  `json:"name"`
	Mode EnvMode `json:"mode"`
	// Value is set for EnvLiteral only.
	Value string `json:"value,omitempty"`
	// Ref is the host variable for EnvHost and the question for EnvAsk.
	Ref string `json:"ref,omitempty"`
}

// Multiline reports whether the value cannot be a line of an env file.
func (e Env) Multiline() bool { return strings.ContainsAny(e.Value, "\n\r") }

// Provider is the harness that a bottle runs.
type Provider struct {
	Template string `json:"template"` // DefaultTemplate unless a bottle says otherwise
	// Dockerfile is as written: "~" and relative paths are not expanded.
	Dockerfile string `json:"dockerfile,omitempty"`
	// AuthToken references the provider's token, in the form of policy.Auth.TokenRef.
	AuthToken              string `json:"auth_token,omitempty"`
	ForwardHostCredentials bool   `json:"forward_host_credentials,omitempty"`
}

// DefaultTemplate is the provider of a bottle that names none.
const DefaultTemplate = "claude"

// Git is the identity of commits and the remotes behind the gate.
type Git struct {
	User GitUser `json:"user"`
	// Sign names the private key that the gate signs commits and tags with, as written: "~" and
	// relative paths are not expanded. "" where nothing is signed.
	Sign string `json:"sign,omitempty"`
	// Trailer is a line "TOKEN: VALUE" that every pushed commit has to end with; "" for none.
	Trailer string `json:"trailer,omitempty"`
	Repos   []Repo `json:"repos"` // sorted by name
}

// GitUser is a claimed identity; "" where none is claimed.
type GitUser struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// Repo is one remote that the gate forwards to.
type Repo struct {
	Name string `json:"name"`
	// URL is "ssh://[user@]host[:port]/path", "[user@]host:path" or "https://host[:port]/path", as written.
	URL string `json:"url"`
	Key Key    `json:"key"`
	// HostKey is a line of known_hosts; "" means that pushes fail closed.
	HostKey string `json:"host_key,omitempty"`
	// ExtraHosts are addresses to use for names instead of resolving them.
	ExtraHosts map[string]netip.Addr `json:"extra_hosts,omitempty"`
	// Push says what may be pushed besides the bottle's own branches.
	Push plan.GitPush `json:"push"`
}

// Key is where the gate gets a remote's SSH key from.
type Key struct {
	// Provider is "static" (a file), "token" (for an https URL), or "gitea" or "github" (a deploy
	// key made for the run).
	Provider string `json:"provider"`
	// Path is the private key's file for "static", as written: "~" is not expanded.
	Path string `json:"path,omitempty"`
	// TokenRef is for the others, in the form of policy.Auth.TokenRef.
	TokenRef string `json:"token_ref,omitempty"`
	// User goes with a token; "" means "git".
	User string `json:"username,omitempty"`
	// APIURL is the forge's API; "" means the forge's usual one at the remote's host.
	APIURL string `json:"api_url,omitempty"`
}

// Egress is what may leave. The zero value denies everything.
type Egress struct {
	Log string `json:"log"` // "summary" or "full"
	// UpstreamProxy is in the form of policy.Set.UpstreamProxy; "" means none.
	UpstreamProxy string `json:"upstream_proxy,omitempty"`
	// OnDeny is "refuse" or "ask"; AskTimeout in seconds, 0 for the default.
	OnDeny     policy.OnDeny `json:"on_deny"`
	AskTimeout int           `json:"ask_timeout,omitempty"`
	Limits     policy.Limits `json:"limits,omitzero"`
	Routes     []Route       `json:"routes"` // names distinct
}

// Route is one allowed destination. UpstreamCA of the embedded Route is always empty here.
type Route struct {
	policy.Route
	// UpstreamCAFile is a PEM file as written: "~" and relative paths are not expanded.
	UpstreamCAFile string `json:"upstream_ca_file,omitempty"`
}
