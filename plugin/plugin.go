// Package plugin is the contract of a provider of your own: a program that says how a coding agent
// is run in a bottle.
//
// Its one rule: one JSON request comes on standard input, one JSON reply goes to standard output,
// and neither ever holds a secret.
//
// The program lies at ~/.bot-bottle/providers/NAME/provider. It is started on the host, in its own
// directory, with no environment but PATH and LANG, and has five seconds. In Go it is:
//
//	func main() { _ = plugin.Serve(os.Stdin, os.Stdout, answer) }
package plugin

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Version of the contract. A request says which one is spoken; a reply repeats it.
const Version = 1

// Words that stand for something as a whole word of Reply.Args or as a whole value of Reply.Env.
const (
	Task        = "{task}"        // Args: the task of a headless run
	Arguments   = "{args}"        // Args: what the user wrote after --, as so many words
	PromptPath  = "{prompt_path}" // Args: the file with the system prompt
	Placeholder = "{placeholder}" // Env: what the agent holds instead of its credential
)

// Request says what run is wanted. Paths are those of the bottle.
type Request struct {
	Version       int      `json:"version"`
	Name          string   `json:"name"`        // the provider's, as the manifest names it
	Home          string   `json:"home"`        // of the agent's user
	Dir           string   `json:"dir"`         // where the agent starts: the workspace, or its home
	Prompt        string   `json:"prompt"`      // the agent's system prompt, "" for none
	PromptPath    string   `json:"prompt_path"` // the file that holds it
	Task          string   `json:"task"`        // of a headless run
	Headless      bool     `json:"headless"`
	Resume        bool     `json:"resume"` // there is a session to go on with
	RemoteControl bool     `json:"remote_control"`
	Args          []string `json:"args"` // after --
	Label         string   `json:"label"`
	Color         string   `json:"color"`
	HasCredential bool     `json:"has_credential"` // agent_provider.auth_token is set
	Servers       []Server `json:"servers"`
}

// Server is a server of the Model Context Protocol that the agent may use, over HTTP.
type Server struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Reply says how the agent is run. Unknown fields are refused.
type Reply struct {
	Version int `json:"version"`
	// Error refuses the request, in words for the user; Hint says what to do.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
	// Program is what is run.
	Program Program `json:"program"`
	// Args follow the program. {task}, {args} and {prompt_path} as whole words are replaced.
	Args []string `json:"args,omitempty"`
	// Env are literals for the agent. {placeholder} as a whole value is replaced.
	Env map[string]string `json:"env,omitempty"`
	// Files are written below the home when the bottle is new.
	Files []File `json:"files,omitempty"`
	// Routes are the hosts of the agent's own API.
	Routes []Route `json:"routes,omitempty"`
	// Steps are run in the bottle before the agent, each with the program in front.
	Steps [][]string `json:"steps,omitempty"`
	// Skills is where skills go, below the home; they come from ~/.claude/skills of the host.
	Skills string `json:"skills,omitempty"`
	// Transcript is the agent's own record of sessions, below the home.
	Transcript string   `json:"transcript,omitempty"`
	TokenHint  string   `json:"token_hint,omitempty"` // how a person gets the credential
	Notes      []string `json:"notes,omitempty"`      // what the preflight should say
}

// Program names a program and where it comes from.
type Program struct {
	Command string `json:"command"`          // looked for beside the plugin where Beside is set, else in PATH
	NPM     string `json:"npm,omitempty"`    // the package that brings it
	Beside  bool   `json:"beside,omitempty"` // it is a file in the plugin's directory
}

// File is written into the bottle.
type File struct {
	Path    string `json:"path"`           // below the home: ".config/x.json"
	Mode    uint32 `json:"mode,omitempty"` // permission bits of the owner; 0 means 0600
	Content string `json:"content"`
}

// Route is one host of the agent's own API.
type Route struct {
	Host  string   `json:"host"`
	Paths []string `json:"paths,omitempty"` // prefixes; none: everything
	// Credential puts the value of agent_provider.auth_token in, which the plugin never sees.
	Credential *Credential `json:"credential,omitempty"`
}

// Credential is how a token is sent.
type Credential struct {
	Scheme   string `json:"scheme"`             // Bearer, token, basic, header
	Name     string `json:"name,omitempty"`     // of the header
	Username string `json:"username,omitempty"` // of basic
}

// schema is written from the types above by the test, with -update.
//
//go:embed schema.json
var schema string

// Schema is the JSON Schema (draft 2020-12) of {"request": …, "reply": …}.
func Schema() string { return schema }

// Decode reads exactly one reply and refuses what it does not know.
func Decode(raw []byte) (Reply, error) {
	var r Reply
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return Reply{}, fmt.Errorf("the reply is not understood: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Reply{}, errors.New("the reply is followed by something else")
	}
	if r.Version != Version {
		return Reply{}, fmt.Errorf("the reply is of version %d, not %d", r.Version, Version)
	}
	return r, nil
}

// Serve reads one request, asks answer, and writes the reply. An error of answer becomes the
// reply's.
func Serve(in io.Reader, out io.Writer, answer func(Request) (Reply, error)) error {
	var request Request
	if err := json.NewDecoder(in).Decode(&request); err != nil {
		return fmt.Errorf("cannot read the request: %w", err)
	}
	reply := Reply{}
	if request.Version != Version {
		reply.Error = fmt.Sprintf("this plugin speaks version %d of the contract, not %d", Version, request.Version)
	} else if r, err := answer(request); err != nil {
		reply.Error = err.Error()
	} else {
		reply = r
	}
	reply.Version = Version
	return json.NewEncoder(out).Encode(reply)
}
