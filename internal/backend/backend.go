// Package backend is the contract between a bottle and the technology that holds it.
//
// Its one rule: a backend gets a plan and nothing else. It knows no manifest, no provider, no
// store and no secret, and it never degrades silently: what a plan needs and the machine lacks is
// an error of kind Unsupported.
package backend

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// Driver is what every backend implements.
type Driver interface {
	Prober
	Lifecycle
	Sessions
	Files
	Inventory
}

// Prober tells what a backend is and whether it can work here.
type Prober interface {
	Name() string
	// Probe looks at the machine without changing it, in well under a second. It fails only
	// when the answer cannot be found; a backend that cannot work here says so in Problems.
	Probe(context.Context) (Capabilities, error)
}

// Rememberer is a Prober whose answer costs time: Remembered is Probe, but may rely on an earlier
// answer where nothing that it can see has changed. A start asks it; doctor asks Probe.
type Rememberer interface {
	Remembered(context.Context) (Capabilities, error)
}

// Lifecycle makes and ends bottles.
type Lifecycle interface {
	// Prepare makes the empty bottle and the process of its sidecar, which waits to be
	// configured. All or nothing: after an error nothing is left. An identity that is in use
	// is fault.Exists.
	Prepare(context.Context, *plan.Plan) (Handle, error)
	// Sidecar returns the one owner's connection to the sidecar that Prepare started. When it
	// is closed, or its owner dies, the sidecar ends.
	Sidecar(context.Context, Handle) (net.Conn, error)
	// Launch runs the self-check inside the bottle and returns when it held: nothing that must
	// fail succeeded. The sidecar must be ready. After it, Sessions and Files work.
	Launch(context.Context, Handle) (Report, error)
	// Teardown ends the bottle and everything in it and its sidecar. It is idempotent, does
	// every step, then reports all errors; an unknown handle is success. Paths.Home stays.
	Teardown(context.Context, Handle) error
	// Done is closed when the bottle or its sidecar has ended by itself, which ends both. Only for the process that
	// prepared the handle.
	Done(Handle) <-chan struct{}
}

// Truster makes every program of a bottle trust one more authority. Called once, after the
// sidecar is ready and before Launch: pem is the certificate of the bottle's own CA, which ends up
// beside the host's roots in plan.CABundle.
type Truster interface {
	Trust(ctx context.Context, h Handle, pem string) error
}

// Operable lets another process of the operator speak to the sidecar of a running bottle: as an
// operator, which is less than its owner (see package control). The bottle reaches no such way in.
type Operable interface {
	// Operate is fault.NotFound where the bottle is not running.
	Operate(context.Context, Handle) (net.Conn, error)
}

// FeatureGate names what a plan with plan.GateInBackend needs.
const FeatureGate = "git-gate"

// GateHost is a backend that has a place of its own for the git gate, beside the sidecar. Prepare
// makes it where the plan says plan.GateInBackend, in which each repository's Mirror is a name:
// what lies under one name outlives the bottle, and is the same for all bottles of the backend's
// Root. It ends with the bottle, and the bottle with it.
type GateHost interface {
	// Gate returns what its owner speaks over. Called once, by the process that prepared the handle.
	Gate(context.Context, Handle) (Gate, error)
}

// Gate is a git gate that waits for its setup.
type Gate struct {
	// Control is the one owner's connection. When it is closed, or its owner dies, the gate ends.
	Control net.Conn
	// Link is the gate's way to the sidecar: the owner joins it to what Operate returns.
	Link net.Conn
	// Dir and Mirrors are directories as the gate sees them: the run's own, and those of the mirrors
	// by their names.
	Dir     string
	Mirrors map[string]string
}

// Sessions run programs in a launched bottle, also from another process than the one that
// prepared it.
type Sessions interface {
	// Exec runs a command as the agent's user and returns its exit. When ctx ends, the command
	// and its group get SIGTERM, then SIGKILL after ten seconds.
	Exec(context.Context, Handle, Command, Stdio) (Exit, error)
	// Attach joins the terminal of the agent: the command that was run with Command.Agent.
	// It returns when the agent ends, or with code 0 when stdio.In ends.
	Attach(context.Context, Handle, Stdio) (Exit, error)
	// Signal delivers a signal ("TERM", "KILL", …) to the agent and its group.
	Signal(ctx context.Context, h Handle, name string) error
}

// Files move in and out of a launched bottle as tar streams, created as the agent's user.
type Files interface {
	// CopyIn unpacks below dir (absolute, made if missing). No entry can end outside dir;
	// devices, sockets and setuid bits are refused.
	CopyIn(ctx context.Context, h Handle, dir string, tar io.Reader) error
	// CopyOut packs path (absolute). The reader must be closed.
	CopyOut(ctx context.Context, h Handle, path string) (io.ReadCloser, error)
}

// Inventory finds bottles by what they left in the world, not by our records.
type Inventory interface {
	List(context.Context) ([]Entry, error)
	// Cleanup removes everything of this backend for which keep says false, running or not.
	// It does every step, then reports.
	Cleanup(ctx context.Context, keep func(instance.ID) bool) (Removed, error)
}

// Hoarder is a backend that keeps things from one run to the next, or has some left that belong to none.
type Hoarder interface {
	// Surplus lists what no run of this Root needs; stays says which runs' things are needed. With all
	// it lists too what the next start would only have to make again.
	Surplus(ctx context.Context, stays func(instance.ID) bool, all bool) ([]Surplus, error)
	// Discard removes what Surplus listed. What has come into use stays, and what is gone is success;
	// it is fault.Busy while something is being made.
	Discard(context.Context, []Surplus) error
}

// Surplus is one thing that a backend has and no run needs.
type Surplus struct {
	Name  string // such as an image's
	What  string // in words
	Bytes int64  // 0 where it is not known
}

// Capabilities of a backend on this machine.
type Capabilities struct {
	Works     bool      `json:"works"`
	Isolation string    `json:"isolation"` // one line, such as "user namespace, seccomp, Landlock ABI 7"
	Problems  []Problem `json:"problems"`  // why it does not work, or what is weaker
	Features  []string  `json:"features"`  // names a plan may need
}

// Problem is one thing that is missing, and what to do about it.
type Problem struct {
	What     string `json:"what"`
	Fix      string `json:"fix,omitempty"`
	Required bool   `json:"required"` // without it the backend does not start a bottle
}

// Handle finds a bottle again, also from another process. Data belongs to the backend.
type Handle struct {
	Backend string          `json:"backend"`
	ID      instance.ID     `json:"identity"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Report is what the self-check tried, each thing that must fail and how it failed.
type Report struct {
	Checks []Check `json:"checks"`
}

// Check is one attempt of the self-check.
type Check struct {
	Name string `json:"name"` // such as "outside address"
	Held bool   `json:"held"`
	How  string `json:"how"` // such as "connection refused"
}

// Command is a program to run in a bottle.
type Command struct {
	Args []string
	Env  []string // the whole environment, NAME=value
	Dir  string
	TTY  bool
	Size Size
	// Agent marks the one command that Attach joins.
	Agent bool
}

// Size of a terminal in characters.
type Size struct{ Rows, Cols uint16 }

// Stdio connects a command. Nil streams are empty or discarded. With a TTY, Err is not used.
type Stdio struct {
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Resize  <-chan Size
	Signals <-chan string // names without SIG, delivered to the foreground group
}

// Exit is how a command ended. Code follows the shell: 128+n for a signal.
type Exit struct {
	Code   int
	Signal string
}

// Entry is a bottle found in the world.
type Entry struct {
	Handle  Handle
	Running bool
	Started time.Time
	What    []string // what is there, in words: "process 123", "cgroup …", "socket …"
}

// Removed tells what Cleanup removed, in words, per identity.
type Removed struct {
	Items map[instance.ID][]string
}
