package planner

import (
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// login looks at the host's own login where the bottle forwards it. What is wrong with it is a
// problem like a missing token: the plan is shown all the same.
func (m *maker) login(r *provider.Request) error {
	if !r.Settings.ForwardHostCredentials || m.host.Login == nil {
		return nil
	}
	facts, issuer, err := m.host.Login(m.out.Provider.Name())
	m.out.Login, m.out.Issuer = true, policy.Route{Host: issuer}
	if err != nil {
		m.out.Problems = append(m.out.Problems, err)
		r.Login = &provider.Login{}
		return nil
	}
	r.Login = &facts
	text := "the login of " + m.out.Provider.Name() + " on this host is used; the agent never sees it"
	if !facts.Expires.IsZero() {
		text += "; it ends at " + facts.Expires.UTC().Format(time.RFC3339)
	}
	if facts.Renewable {
		text += ", and is renewed before"
	}
	m.note(text)
	return nil
}
