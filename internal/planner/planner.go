// Package planner turns a manifest, a provider and facts of the host into a plan.
//
// Its one rule: it only reads. Everything that can be known to be wrong is known here, before
// anything is made, and said at once.
package planner

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/harness"
)

// Request says what to plan.
type Request struct {
	ID      instance.ID
	Paths   plan.Paths
	Backend plan.Backend
	Agent   string
	Bottles []string // --bottle, in order; empty: the agent's own

	CopyCwd       bool // --cwd
	Headless      bool
	Task          string
	Resume        bool
	Packages      []ask.Package // that were approved in this run
	Origin        string        // where a resumed bottle's files are taken from, as a directory of state; "": it has them
	RemoteControl bool
	Observe       bool // --observe: record and refuse nothing that a route could allow
	Args          []string
	Label, Color  string
	Carried       []string // approvals of the run that its resume brings back, each as a line for a person
}

// Host is what the planner may look at.
type Host struct {
	Library   *manifest.Library
	Providers []provider.Provider
	// Find locates a provider's program; harness.ErrMissing where it must be installed.
	Find   func(provider.Binary) (harness.Program, error)
	Getenv func(string) (string, bool)
	// HasSession reports whether a resumed bottle holds a session of the provider, whose
	// records lie at a path below the bottle's home.
	HasSession func(transcript string) bool
	// Login reads the host's own login of a provider: its facts, and the host that renews it.
	Login    func(name string) (facts provider.Login, issuer string, err error)
	UserHome string
	Home     string // the home of bot-bottle
	Cwd      string
	Git      string // the host's git; "" where there is none
	Gate     bool   // this system can run the git gate
	Terminal bool   // somebody can be asked
}

// Planned is a plan and what is needed to carry it out.
type Planned struct {
	Plan *plan.Plan
	// Tokens are the references whose values the sidecar needs, sorted.
	Tokens []string
	// Install is the program that must be fetched first, or nil.
	Install *provider.Binary
	// Login is set where the host's own login is used, and Issuer says how to reach who renews it.
	Login  bool
	Issuer policy.Route
	// Provider is the one that was asked.
	Provider provider.Provider
	// Transcript is the provider's record of sessions, below the bottle's home.
	Transcript string
	// Problems keep the plan from being started; all of them, each with a hint where one helps.
	Problems []error
}

// Make resolves a request. Its error means that there is no plan to show; what only keeps a plan
// from being started is in Problems.
func Make(h Host, r Request) (*Planned, error) {
	chosen, err := h.Library.Select(r.Agent, r.Bottles...)
	if err != nil {
		return nil, err
	}
	m := &maker{host: h, req: r, chosen: chosen, agent: chosen.Agent, bottle: chosen.Bottle, out: &Planned{}}
	return m.make()
}

type maker struct {
	host   Host
	req    Request
	chosen *manifest.Selection
	agent  *manifest.Agent
	bottle *manifest.Bottle
	out    *Planned
	spec   provider.Spec
}

func (m *maker) problem(kind fault.Kind, hint, format string, args ...any) {
	m.out.Problems = append(m.out.Problems, fault.WithHint(fault.New(kind, format, args...), "%s", hint))
}

func (m *maker) note(text string) { m.out.Plan.Notes = append(m.out.Plan.Notes, text) }

func (m *maker) make() (*Planned, error) {
	m.out.Plan = &plan.Plan{
		ID: m.req.ID, Agent: m.agent.Name, Bottles: m.bottle.Chain, Provider: m.bottle.Provider.Template,
		Backend: m.req.Backend, Prompt: plan.Prompt{Text: m.agent.Prompt, Task: m.req.Task},
		Supervise: m.bottle.Supervise, Paths: m.req.Paths, Headless: m.req.Headless, Resume: m.req.Resume,
		Label: m.req.Label, Color: m.req.Color, Limits: m.bottle.Resources,
		Env: []plan.EnvVar{}, Skills: []plan.Skill{}, Files: []plan.File{}, Steps: []plan.Command{}, Mounts: []plan.Mount{},
		Needs: []string{}, Builds: []string{}, Notes: []string{},
	}
	m.workspace()
	if err := m.provide(); err != nil {
		return nil, err
	}
	m.environment()
	m.skills()
	m.git()
	if err := m.egress(); err != nil {
		return nil, err
	}
	m.capability()
	m.unenforced()
	for _, approval := range m.req.Carried {
		m.note("approved in this run, and in force again: " + approval)
	}
	for _, w := range m.host.Library.Warnings() {
		m.note(w.String())
	}
	return m.out, nil
}

// provide asks the provider and finds its program.
func (m *maker) provide() error {
	i := slices.IndexFunc(m.host.Providers, func(p provider.Provider) bool { return p.Name() == m.bottle.Provider.Template })
	if i < 0 {
		var have []string
		for _, p := range m.host.Providers {
			have = append(have, p.Name())
		}
		return fault.WithHint(fault.New(fault.Unsupported, "provider %q is not available in this version", m.bottle.Provider.Template),
			"available: %s", strings.Join(have, ", "))
	}
	dir := m.out.Plan.Workspace.Path
	if dir == "" {
		dir = plan.Home
	}
	request := provider.Request{
		Settings: provider.Settings{AuthToken: m.bottle.Provider.AuthToken, ForwardHostCredentials: m.bottle.Provider.ForwardHostCredentials},
		Dir:      dir, Prompt: m.agent.Prompt, PromptPath: plan.PromptPath,
		Task: m.req.Task, Headless: m.req.Headless,
		RemoteControl: m.req.RemoteControl, Args: m.req.Args, Label: m.req.Label, Color: m.req.Color,
	}
	if m.bottle.Supervise {
		request.Servers = []provider.Server{{Name: plan.SuperviseHost, URL: "http://" + plan.SuperviseHost + "/mcp"}}
	}
	p := m.host.Providers[i]
	m.out.Provider = p
	if err := m.login(&request); err != nil {
		return err
	}
	spec, err := p.Spec(request)
	if err != nil {
		return err
	}
	if request.Resume = m.req.Resume && m.host.HasSession(spec.Transcript); request.Resume {
		if spec, err = p.Spec(request); err != nil {
			return err
		}
	}
	m.spec, m.out.Transcript = spec, spec.Transcript
	m.out.Plan.Files = append(m.out.Plan.Files, spec.Files...)
	m.out.Plan.Placeholders = append([]string{}, spec.Placeholders...)
	m.out.Plan.Notes = append(m.out.Plan.Notes, spec.Notes...)
	return m.program(dir)
}

func (m *maker) program(dir string) error {
	if own, err := m.image(); err != nil || own {
		m.command(dir, []string{m.spec.Binary.Command})
		return err
	}
	found, err := m.host.Find(m.spec.Binary)
	if errors.Is(err, harness.ErrMissing) && m.spec.Binary.NPM == "" {
		m.problem(fault.NotFound, "install it, so that it is in PATH", "the program %q of the provider %s is not installed", m.spec.Binary.Command, m.out.Plan.Provider)
		found, err = harness.Program{Args: []string{filepath.Join(harness.BinDir, m.spec.Binary.Command)}}, nil
	}
	if errors.Is(err, harness.ErrMissing) {
		m.out.Install = &m.spec.Binary
		m.out.Plan.Builds = append(m.out.Plan.Builds, "install "+m.spec.Binary.NPM+" from npm into the cache: "+m.spec.Binary.Command+" is not in PATH")
		found, err = harness.Program{Args: []string{filepath.Join(harness.BinDir, m.spec.Binary.Command)}}, nil
	}
	if err != nil {
		return err
	}
	m.out.Plan.Mounts = append(m.out.Plan.Mounts, found.Mounts...)
	m.command(dir, found.Args)
	return nil
}

// command is how the agent and its steps are run, with the words that start the program.
func (m *maker) command(dir string, program []string) {
	p := m.out.Plan
	p.Command = plan.Command{Args: slices.Concat(program, m.spec.Args), Dir: dir}
	for _, s := range m.spec.Steps {
		p.Steps = append(p.Steps, plan.Command{Args: slices.Concat(program, s), Dir: dir})
	}
}

// workspace decides whether the caller's directory comes along. A directory that holds the
// user's home never does: it would bring every key of the host.
func (m *maker) workspace() {
	if !m.req.CopyCwd && m.bottle.Workspace != manifest.WorkspaceCopy {
		return
	}
	m.out.Plan.Workspace = plan.Mount{Path: plan.Workspace}
	if m.req.Resume {
		return // it has its copy
	}
	cwd, err := filepath.EvalSymlinks(m.host.Cwd)
	if err != nil {
		m.problem(fault.NotFound, "cd to a directory that exists", "cannot bring in %s: %v", m.host.Cwd, err)
		return
	}
	for _, private := range []string{m.host.UserHome, m.host.Home} {
		if real, err := filepath.EvalSymlinks(private); err == nil {
			private = real
		}
		if !within(cwd, private) {
			continue
		}
		if m.req.CopyCwd {
			m.problem(fault.Denied, "cd into the project you want to bring in",
				"cannot bring in %s: it holds %s, and with it every key in there", cwd, private)
		} else {
			m.note("the current directory is not brought in: it holds " + private)
		}
		return
	}
	if info, err := os.Stat(cwd); err != nil || !info.IsDir() {
		m.problem(fault.NotFound, "cd to a directory that exists", "cannot bring in %s: it is not a directory", cwd)
		return
	}
	m.out.Plan.Workspace.HostPath = cwd
}

// within reports whether path is dir or lies below it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return path != "" && err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
