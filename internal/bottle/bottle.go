// Package bottle runs bottles: start, resume, attach, exec, stop, settle, cleanup, over any backend.
//
// Its one rule: it is the sole owner of the phases of a run and of the stack that undoes them, so
// that whatever ends a run, and whenever, leaves nothing running and loses nothing.
package bottle

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/gate"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// Sidecar is the owner's side of the control channel.
type Sidecar interface {
	// Configure hands over the policy and the values of the named secrets, and returns when
	// the sidecar serves.
	Configure(context.Context, control.Config, map[string]secret.String) (control.Ready, error)
	// Renew replaces the value of a named secret.
	Renew(ctx context.Context, ref string, value secret.String) error
	// Note puts a lifecycle event into the audit log.
	Note(context.Context, audit.Event) error
	// Close ends the sidecar.
	Close() error
}

// Deps are what a run needs from outside.
type Deps struct {
	Home   *store.Home
	Driver backend.Driver
	// Control speaks to a sidecar over its owner's connection.
	Control func(net.Conn) Sidecar
	// Gate starts a git gate between its owner and the sidecar at the other end of the connection,
	// and returns when it serves.
	Gate func(context.Context, net.Conn, gate.Setup) (io.Closer, error)
	// Progress tells a person what takes time; it must not block.
	Progress func(format string, args ...any)
}

// Launch is one run to start.
type Launch struct {
	Plan   *plan.Plan
	Record store.Record
	// Env are the values of forwarded and asked variables, by name.
	Env map[string]secret.String
	// Tokens are the values of the credentials of the sidecar, by reference.
	Tokens map[string]secret.String
	// Guarded are the values of the host's variables that must not leave, by name.
	Guarded map[string]secret.String
	// Key is the user's own; it keys fingerprints, and the bottle's canary comes from it. Without
	// one there is no canary.
	Key secret.String
	// Keys are the private keys and tokens of git remotes, by the repository's name.
	Keys map[string]secret.String
	// SignKey is the private key that the gate signs commits with; empty where it does not.
	SignKey secret.String
	// Owned, where there is one, is called when the run has its state and is this process's: from
	// then on others find it by its name.
	Owned func() error
	// Fresh, where there is one, makes keys for this run, which are added to Keys. It is called once
	// the run is this process's alone, so that who loses a race for a run never touches the keys of
	// who won it.
	Fresh func(context.Context) (map[string]secret.String, error)
	// Revoke, where there is one, undoes Fresh, also where that failed half-way, while the run is
	// still this process's alone.
	Revoke func(context.Context) error
	// Fill brings the files of a resumed bottle that has none of its own yet; nil: it has them.
	Fill func(context.Context, *store.Run) error
	// Transcript is the provider's own record of sessions, below the bottle's home.
	Transcript string
	// Terminal is set where the agent gets one.
	Terminal bool
	Size     backend.Size
	Term     string // TERM of the caller's terminal
	// Beside, where there is one, runs as long as the agent does, and returns soon after its
	// context ends.
	Beside func(context.Context, Inside)
	// Ended, where there is one, is called when everything of the run is torn down and its state is
	// still there.
	Ended func()
	// Streams is called when the agent is about to run and returns its streams.
	Streams func(Timing) (backend.Stdio, error)
}

// Inside is what may be changed in a bottle while its agent runs.
type Inside interface {
	// Renew gives the sidecar the new value of a secret.
	Renew(ctx context.Context, ref string, value secret.String) error
	// Write puts files into the bottle's home.
	Write(context.Context, []plan.File) error
}

// Timing says how long the parts of a start took.
type Timing struct {
	Prepare, Sidecar, Check, Provision, Total time.Duration
	Checks                                    []backend.Check
	Fences                                    []string
}

// Outcome is how a run ended.
type Outcome struct {
	Exit backend.Exit
	// Kept is true where the state stays for a resume; Why says so in words.
	Kept bool
	Why  string
	// Restart is true where it was kept because a capability was approved: it has that when it is
	// started again.
	Restart bool
	// Log is where the chain of the audit log of a kept run ends; zero where there is no log.
	Log audit.Head
}

// unwindLimit bounds the clean-up of a run.
const unwindLimit = 30 * time.Second
