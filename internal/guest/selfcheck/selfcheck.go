// Package selfcheck tries, inside a sealed bottle, what must fail.
//
// Its one rule: an attempt counts as held only when it failed in the way that a guard makes it
// fail; a success, a surprise and silence do not.
package selfcheck

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// deadline of one attempt. A guard answers at once; what takes longer is none.
const deadline = 3 * time.Second

// Shell runs a script as the agent would run it and returns its output.
type Shell func(script string, deadline time.Duration) (string, error)

// attempt is one thing that must fail. held tells whether it did, how tells in which way.
type attempt struct {
	name string
	try  func() (held bool, how string)
}

// Run tries everything at the same time.
func Run(hidden []wire.Path, shell Shell) []wire.Check {
	return all(attempts(onlyLoopback, hidden, shell))
}

// RunLinked is Run for a bottle whose kernel is gVisor's: its one way is the named device.
func RunLinked(hidden []wire.Path, device string, shell Shell) []wire.Check {
	return all(attempts(func() (bool, string) { return onlyLink(device) }, hidden, shell))
}

// Trial tries what a runtime holds by itself, whatever the bottle.
func Trial(shell Shell) []wire.Check { return all(append(privileges(), lookInside(shell))) }

func attempts(onlyWay func() (bool, string), hidden []wire.Path, shell Shell) []attempt {
	attempts := append([]attempt{{"a way out besides loopback", onlyWay}}, network()...)
	attempts = append(attempts, unseen(hidden)...)
	attempts = append(attempts, unwritable()...)
	attempts = append(attempts, privileges()...)
	return append(attempts, lookInside(shell))
}

func lookInside(shell Shell) attempt {
	return attempt{"a look into init", func() (bool, string) { return initClosed(shell) }}
}

// Hidden tries only what of the host must not be there, and tells it by name. A guest that changes
// its user asks before, too: what is not there for one of the two is not there, and a directory
// that one of them may not enter proves nothing.
func Hidden(hidden []wire.Path) map[string]wire.Check {
	found := make(map[string]wire.Check)
	for _, c := range all(unseen(hidden)) {
		found[c.Name] = c
	}
	return found
}

func all(attempts []attempt) []wire.Check {
	checks := make([]wire.Check, len(attempts))
	var all sync.WaitGroup
	for i, a := range attempts {
		all.Go(func() {
			held, how := a.try()
			checks[i] = wire.Check{Name: a.name, Held: held, How: how}
		})
	}
	all.Wait()
	return checks
}

func failed(err error, want ...error) (bool, string) {
	if err == nil {
		return false, "it succeeded"
	}
	for _, w := range want {
		if errors.Is(err, w) {
			return true, err.Error()
		}
	}
	return false, fmt.Sprintf("failed otherwise than by a guard: %v", err)
}
