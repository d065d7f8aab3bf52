// Package provider is the contract of a harness: what it takes to run one coding agent.
//
// Its one rule: a provider returns data. It never touches a backend, the disk or the network, and
// sees no value of a secret.
package provider

import (
	"time"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Provider describes one harness.
type Provider interface {
	// Name is what a manifest's agent_provider.template says.
	Name() string
	// Spec resolves a request; an impossible one is an error of kind fault.Invalid.
	Spec(Request) (Spec, error)
}

// Refresher is a provider whose bottle holds a copy of the login's facts, which follows the login.
type Refresher interface {
	// LoginFiles are written into the bottle's home again when the login was renewed.
	LoginFiles(Login) ([]plan.File, error)
}

// Placeholder is what an agent holds instead of a token. It has no value. Twelve bytes of it in a
// request are an alarm, so no twelve of them stand in a path, a name or a sentence.
const Placeholder = "bottle-quasi-token-jackdaw-of-sphinx"

// Login are the facts of the host's login that a bottle may know.
type Login struct {
	Expires   time.Time // zero: it does not say
	Renewed   time.Time // last time; zero: it does not say
	Renewable bool
	Account   string // an identifier, "" where there is none
	Plan      string // the subscription's name
}

// Server is a server of the Model Context Protocol that the agent may use, over HTTP.
type Server struct{ Name, URL string }

// Settings are the manifest's agent_provider.
type Settings struct {
	AuthToken              string // name of the host variable, "" for none
	ForwardHostCredentials bool
}

// Request says what run is wanted. Paths are those of the bottle.
type Request struct {
	Settings      Settings
	Login         *Login // of the host, where Settings forward it
	Servers       []Server
	Dir           string // where the agent starts: the workspace, or its home
	Prompt        string // the agent's system prompt, "" for none
	PromptPath    string // the file that holds it
	Task          string // of a headless run
	Headless      bool
	Resume        bool // there is a session to go on with
	RemoteControl bool
	Args          []string // after --
	Label, Color  string
}

// Spec is what a run of the harness needs.
type Spec struct {
	Binary Binary
	// Dockerfile is the text of an image that has the binary in its PATH, "" for none. Its build
	// arguments BASE and VERSION name the image it is built on and the harness's version.
	Dockerfile string
	// Context is the directory of the host that it may copy from, "" for none.
	Context string
	// Args follow the binary on the command line of the agent.
	Args []string
	// Env are literals for the agent; a manifest's entry of the same name wins.
	Env map[string]string
	// Placeholders are the values of Env that stand for a credential.
	Placeholders []string
	// Files are written into the bottle's home when the bottle is new.
	Files []plan.File
	// Routes are owned by the provider.
	Routes []policy.Route
	// Steps run in the bottle before the agent, each with the binary in front.
	Steps [][]string
	// HostSkills is where skills lie on the host, below the user's home; GuestSkills are where
	// they go, below the bottle's.
	HostSkills  string
	GuestSkills []string
	// Transcript is the provider's own record of sessions, below the bottle's home.
	Transcript string
	// TokenHint says how a person gets the token of the provider's routes.
	TokenHint string
	// TokenHintMissing says the same where the program is not installed.
	TokenHintMissing string
	Notes            []string
}

// Binary names a harness and where it comes from.
type Binary struct {
	Command string // looked for in PATH
	NPM     string // package that brings it, "" where npm has none
	Dir     string // a directory of the host that it lies in, instead of PATH
}
