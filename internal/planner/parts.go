package planner

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// environment joins the provider's literals with the bottle's entries, which win.
func (m *maker) environment() {
	vars := map[string]plan.EnvVar{}
	for name, value := range m.spec.Env {
		vars[name] = plan.EnvVar{Name: name, Source: "provider", Value: value}
	}
	for _, e := range m.bottle.Env {
		v := plan.EnvVar{Name: e.Name, Source: string(e.Mode), Value: e.Value, Ref: e.Ref}
		switch e.Mode {
		case manifest.EnvHost:
			if _, ok := m.host.Getenv(e.Ref); !ok {
				m.problem(fault.NotFound, "export "+e.Ref+" before the start, or take "+e.Name+" out of the bottle",
					"env.%s: the host variable %s is not set", e.Name, e.Ref)
			}
		case manifest.EnvAsk:
			if !m.host.Terminal {
				m.problem(fault.Invalid, "run it on a terminal, or forward a host variable with ${NAME}",
					"env.%s: its value is asked for, and there is no terminal", e.Name)
			}
		}
		vars[e.Name] = v
	}
	for _, v := range vars {
		m.out.Plan.Env = append(m.out.Plan.Env, v)
	}
	slices.SortFunc(m.out.Plan.Env, func(a, b plan.EnvVar) int { return cmp.Compare(a.Name, b.Name) })
}

// skills finds each skill on the host. A skill's own folder may be a link; links inside it stay
// links in the bottle.
func (m *maker) skills() {
	for _, name := range m.agent.Skills {
		dir := filepath.Join(m.host.UserHome, m.spec.HostSkills, name)
		real, err := filepath.EvalSymlinks(dir)
		if err == nil {
			var info os.FileInfo
			if info, err = os.Stat(real); err == nil && !info.IsDir() {
				err = os.ErrInvalid
			}
		}
		if err == nil {
			if err := checkSkill(real); err != nil {
				m.problem(fault.Invalid, "a skill is a folder with a SKILL.md and little else; take it out of the agent's skills, or make it smaller",
					"skill %q at %s cannot be brought in: %v", name, dir, err)
				continue
			}
		}
		if err != nil {
			m.problem(fault.NotFound, "put it at "+dir+", or take it out of the agent's skills", "skill %q does not exist on this host", name)
			continue
		}
		for _, below := range m.spec.GuestSkills {
			m.out.Plan.Skills = append(m.out.Plan.Skills, plan.Skill{Name: name, HostPath: real, Path: path.Join(plan.Home, below, name)})
		}
	}
}

// git overlays the agent's identity on the bottle's, field by field, and writes it where git in
// the bottle looks for it.
func (m *maker) git() {
	g := &m.out.Plan.Git
	g.Repos = []plan.GitRepo{}
	g.Name, g.NameFrom = m.chosen.User.Name, m.chosen.NameFrom
	g.Email, g.EmailFrom = m.chosen.User.Email, m.chosen.EmailFrom
	m.sign()
	m.repos()
	m.out.Plan.Files = append(m.out.Plan.Files, gitFiles(*g)...)
}

// unenforced names what the bottle declares and this version cannot hold. It is refused, never
// ignored.
func (m *maker) unenforced() {
	if m.bottle.Egress.OnDeny == policy.OnDenyAsk && !m.bottle.Supervise {
		m.problem(fault.Unsupported, "set supervise: true, or on_deny: refuse", "egress.on_deny is ask, and supervise is false: there would be nobody to ask")
	}
	m.allowances()
	if m.bottle.Provider.Dockerfile != "" && m.req.Backend.Name != "docker" {
		m.problem(fault.Unsupported, "take agent_provider.dockerfile out of the bottle",
			"agent_provider.dockerfile needs a backend that builds images; %s does not", m.req.Backend.Name)
	}
}
