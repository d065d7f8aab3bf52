// Package plan is the resolved launch of one bottle: everything a backend, the sidecar and a
// reader of the preflight need, and no value of a secret.
//
// Its one rule: it is data. Nothing here does anything, and all of it serialises.
package plan

import (
	"fmt"
	"net/netip"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Where things are inside every bottle.
const (
	User      = "node"
	UID       = 1000
	Home      = "/home/node"
	Workspace = "/home/node/workspace"
)

// Where the sidecar is, seen from inside a bottle: one address outside loopback, so that the
// agent's own servers on 127.0.0.1 stay its own.
const (
	SidecarIPv4 = "198.18.0.1"
	SidecarIPv6 = "fdb0:771e::1"
	// SyntheticIPv4 and SyntheticIPv6 are the ranges from which the resolver answers allowed names.
	SyntheticIPv4 = "198.18.0.0/15"
	SyntheticIPv6 = "fdb0:771e::/64"
	ProxyPort     = 3128
	// GateHost is the git gate's name in a bottle that declares repositories.
	GateHost = "git-gate.local"
	// GateSignPath is where the gate signs: no repository can have such a name.
	GateSignPath = "/~sign"
	// SuperviseHost is where the agent asks the operator, in a bottle that lets it.
	SuperviseHost = "supervise"
)

// SidecarEnv is the whole environment of a sidecar: its HTTP/2 library looks there, once and before
// anything else, whether WebSockets over HTTP/2 (RFC 8441) are spoken.
const SidecarEnv = "GODEBUG=http2xconnect=1"

// Where trust is, seen from inside: the bottle's own authority beside the host's roots.
const (
	CABundle          = "/etc/ssl/certs/ca-certificates.crt"
	CADir             = "/etc/ssl/certs"
	JavaTrust         = Home + "/.bot-bottle/java-trust.jks"
	JavaTrustPassword = "changeit"
)

// PromptPath is the agent's system prompt inside the bottle.
const PromptPath = Home + "/.bot-bottle-prompt.txt"

// Plan is one bottle to launch.
type Plan struct {
	ID       instance.ID `json:"identity"`
	Agent    string      `json:"agent"`
	Bottles  []string    `json:"bottles"` // the chain, base first
	Provider string      `json:"provider"`
	Backend  Backend     `json:"backend"`

	Env       []EnvVar   `json:"env"` // sorted by name
	Skills    []Skill    `json:"skills"`
	Prompt    Prompt     `json:"prompt"`
	Workspace Mount      `json:"workspace"` // HostPath "" where nothing is brought in
	Git       Git        `json:"git"`
	Egress    policy.Set `json:"egress"`
	Supervise bool       `json:"supervise"`
	// Placeholders stand for credentials inside the bottle and must not leave it.
	Placeholders []string `json:"placeholders"`

	Command Command   `json:"command"`
	Files   []File    `json:"files"`  // written into the bottle before the agent starts
	Steps   []Command `json:"steps"`  // run in the bottle before the agent starts, in order
	Mounts  []Mount   `json:"mounts"` // read-only from the host, such as the provider's binary
	// Capability is what the agent may ask to have changed of what the bottle is made of.
	Capability Capability `json:"capability,omitzero"`
	Image      Image      `json:"image,omitzero"` // only for a backend that has images
	Limits     Limits     `json:"limits"`
	Needs      []string   `json:"needs"` // capabilities the backend must have, by name
	Paths      Paths      `json:"paths"`

	Headless bool     `json:"headless"`
	Resume   bool     `json:"resume"`
	Label    string   `json:"label,omitempty"`
	Color    string   `json:"color,omitempty"`
	Builds   []string `json:"builds"` // what is installed or built first, in words
	Notes    []string `json:"notes"`  // what the reader of the preflight should know
}

// Backend is the chosen backend, why, and how it isolates.
type Backend struct {
	Name      string `json:"name"`
	Reason    string `json:"reason"`
	Isolation string `json:"isolation"`
	// Gate says that it has a place for the git gate.
	Gate bool `json:"gate,omitempty"`
}

// EnvVar is a variable of the agent. Value is set only for literals.
type EnvVar struct {
	Name string `json:"name"`
	// Source is "literal", "host" (forwarded by name), "ask" (from the terminal) or "provider".
	Source string `json:"source"`
	Value  string `json:"value,omitempty"`
	// Ref is the host variable for "host", the question for "ask".
	Ref string `json:"ref,omitempty"`
}

// Skill is a folder of the host that is copied into the bottle.
type Skill struct {
	Name     string `json:"name"`
	HostPath string `json:"host_path"`
	Path     string `json:"path"` // in the bottle
}

// Prompt is the agent's system prompt. Text is the user's own and not secret.
type Prompt struct {
	Text string `json:"text"`
	Task string `json:"task,omitempty"` // what --prompt said
}

// Mount brings a path of the host to a path in the bottle.
type Mount struct {
	HostPath string `json:"host_path,omitempty"`
	Path     string `json:"path,omitempty"`
}

// Git is the identity of the bottle's commits and its declared remotes.
type Git struct {
	Name      string    `json:"name,omitempty"`
	NameFrom  string    `json:"name_from,omitempty"` // "agent" | "bottle"
	Email     string    `json:"email,omitempty"`
	EmailFrom string    `json:"email_from,omitempty"`
	Sign      *GitSign  `json:"sign,omitempty"`    // nil: nothing is signed
	Trailer   string    `json:"trailer,omitempty"` // a line that every pushed commit ends with
	Repos     []GitRepo `json:"repos"`
	// Gate says where the gate runs; "" where there is none.
	Gate string `json:"gate,omitempty"`
	// Program is the host's git, which a gate on the host runs.
	Program string `json:"program,omitempty"`
	// Image is what has git in it, for a gate in a backend that has images.
	Image Image `json:"image,omitzero"`
}

// Where a git gate runs.
const (
	GateOnHost    = "host"    // as a process beside the command line
	GateInBackend = "backend" // where the bottles are
)

// Gated reports whether there is work for a git gate.
func (g Git) Gated() bool { return len(g.Repos) > 0 || g.Sign != nil }

// GitSign is the key that commits and tags of the identity are signed with, without its value.
type GitSign struct {
	Key    string `json:"key"`    // the private key's file on the host
	Public string `json:"public"` // in the form of authorized_keys, without a comment
}

// GitRepo is one declared remote, without the value of its key.
type GitRepo struct {
	Name string `json:"name"`
	URL  string `json:"url"` // "ssh://…", "user@host:path" or "https://…", as declared
	// Key is the private key's file on the host; Token the reference of an HTTPS token, with User.
	Key   string `json:"key,omitempty"`
	Token string `json:"token,omitempty"`
	User  string `json:"user,omitempty"`
	// Forge makes the key for the run; nil where there is one.
	Forge *GitForge `json:"forge,omitempty"`
	// HostKey is the pinned line of known_hosts; without it nothing is fetched or pushed.
	HostKey string `json:"host_key,omitempty"`
	// Hosts are addresses for names that are not resolved.
	Hosts map[string]netip.Addr `json:"extra_hosts,omitempty"`
	Push  GitPush               `json:"push"`
	// Mirror is the directory of its mirror, or its name in a backend that keeps it; set when its key
	// has been read. In a backend, "" is a mirror of the run's own.
	Mirror string `json:"mirror,omitempty"`
}

// GitForge is where a repository's deploy key is made for the run, and revoked at its end.
type GitForge struct {
	API      string `json:"api"` // its address, without the final slash
	Owner    string `json:"owner"`
	Name     string `json:"name"`
	TokenRef string `json:"token_ref"`
}

// GitPush says what may be pushed besides the bottle's own branches, bottle/<identity>/*.
type GitPush struct {
	// Refs are patterns in which * stands for any text; a branch's name or a full one, refs/….
	Refs     []string `json:"refs,omitempty"`
	Force    bool     `json:"force,omitempty"`
	Delete   bool     `json:"delete,omitempty"`
	MaxBytes int64    `json:"max_bytes,omitempty"` // of one push; 0: 256 MiB
}

// Words say what a bottle may push, on one line.
func (p GitPush) Words(id string) string {
	text := "to bottle/" + id + "/*"
	for _, ref := range p.Refs {
		text += ", " + ref
	}
	if p.Force {
		text += "; may force"
	}
	if p.Delete {
		text += "; may delete"
	}
	if p.MaxBytes > 0 {
		text += fmt.Sprintf("; %d bytes at most", p.MaxBytes)
	}
	return text
}

// Command is a program to run in the bottle as the agent's user.
type Command struct {
	Args []string `json:"args"`
	Dir  string   `json:"dir,omitempty"`
}

// File is written into the bottle, owned by the agent's user.
type File struct {
	Path    string `json:"path"` // absolute, below Home
	Mode    uint32 `json:"mode"` // permission bits
	Content string `json:"content"`
	// Again is set for a file that is written at every start, also over what the agent made of it.
	Again bool `json:"again,omitempty"`
}

// The forms of a capability.
const (
	ByDockerfile = "dockerfile"
	ByPackages   = "packages"
)

// Capability is what a bottle is made of. The zero value is a bottle that stays as it is.
type Capability struct {
	Form     string        `json:"form,omitempty"`
	Packages []ask.Package `json:"packages,omitempty"` // approved in this run
}

// Image is what a bottle's file system is made of, on a backend that has images.
type Image struct {
	Ref string `json:"ref,omitempty"` // an image that is there already
	// Dockerfile is the text that it is built from, with Args; Context the directory that it may
	// copy from, "" for none; Name its file there.
	Dockerfile string            `json:"dockerfile,omitempty"`
	Context    string            `json:"context,omitempty"`
	Name       string            `json:"name,omitempty"`
	Args       map[string]string `json:"args,omitempty"`
}

// Limits bound what a bottle may use; 0 means the backend's default.
type Limits struct {
	MilliCPUs   int64 `json:"milli_cpus,omitempty"` // thousandths of a processor's time
	Processes   int   `json:"processes,omitempty"`
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	OpenFiles   int   `json:"open_files,omitempty"`
}

// Paths are where the run lives on the host; all absolute.
type Paths struct {
	State string `json:"state"` // state/<identity>
	Home  string `json:"home"`  // becomes Home in the bottle
	Run   string `json:"run"`   // the backend's own: sockets, records
	Audit string `json:"audit"` // audit.jsonl
	// Proposals is the journal of what the agent asked for: supervise/proposals.jsonl.
	Proposals string `json:"proposals"`
}
