package planner

import (
	"fmt"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Observing is what a person must know of a bottle that observes.
const Observing = "OBSERVING: every public destination is open, and only recorded; no credential is put in, so the agent is not logged in"

// observe makes a policy that records instead of refusing, and refuses to where something secret
// could leave by it: every destination is open then.
func (m *maker) observe(set policy.Set) policy.Set {
	if !m.req.Observe {
		return set
	}
	const hint = "observe with a bottle that has none of it, such as --bottle with one of your own"
	for _, e := range m.out.Plan.Env {
		if e.Source == "host" || e.Source == "ask" {
			m.problem(fault.Invalid, hint, "cannot observe with env.%s, whose value could leave for anywhere", e.Name)
		}
	}
	for _, r := range m.bottle.Git.Repos {
		m.problem(fault.Invalid, hint, "cannot observe with git-gate.repos.%s, which has a key", r.Name)
	}
	if m.bottle.Git.Sign != "" {
		m.problem(fault.Invalid, hint, "cannot observe with git-gate.sign, which has a key")
	}
	if m.out.Login {
		m.problem(fault.Invalid, hint, "cannot observe with agent_provider.forward_host_credentials: the login could leave for anywhere")
	}
	off := 0
	for i := range set.Routes {
		if set.Routes[i].Auth != nil {
			set.Routes[i].Auth, off = nil, off+1
		}
	}
	set.Observe, set.OnDeny, set.AskSeconds = true, "", 0
	m.note(Observing)
	if off > 0 {
		m.note(fmt.Sprintf("credentials of %d routes are off while it observes", off))
	}
	return set
}
