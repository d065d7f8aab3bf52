package planner

import (
	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// gateDockerfile is what has git in it for the git gate: on any image of Debian's family or Alpine's,
// also one that has it already.
const gateDockerfile = `ARG BASE=debian:bookworm-slim
FROM ${BASE}
USER root
RUN if command -v git >/dev/null; then exit 0; fi; \
    if command -v apk >/dev/null; then exec apk add --no-cache git; fi; \
    apt-get update -qq \
 && apt-get install -qq --no-install-recommends git >/dev/null \
 && rm -rf /var/lib/apt/lists/*
`

// gate decides where the git gate runs: where the bottles are, if the backend has a place for it,
// else as a process of this system. It is never chosen because the other one fails.
func (m *maker) gate() {
	g := &m.out.Plan.Git
	where, _ := m.host.Getenv(gateVariable)
	switch {
	case where != "" && where != plan.GateOnHost:
		m.problem(fault.Invalid, "write "+gateVariable+"=host, or take it out of the environment", "git-gate: %s is %q, which is no place for a gate", gateVariable, where)
		return
	case where == "" && m.req.Backend.Gate:
		g.Gate = plan.GateInBackend
		m.out.Plan.Needs = append(m.out.Plan.Needs, backend.FeatureGate)
		m.gateImage()
		return
	case !m.host.Gate && m.req.Backend.Gate:
		m.problem(fault.Unsupported, "take "+gateVariable+" out of the environment: the gate then runs in a container", "git-gate: the gate cannot run on this host: it needs Linux")
		return
	case !m.host.Gate:
		m.problem(fault.Unsupported, "run with --backend docker, which has a container for it, or take git-gate.repos and git-gate.sign out of the bottle",
			"git-gate: the gate cannot run on this host: it needs Linux")
		return
	}
	g.Gate = plan.GateOnHost
	if g.Program = m.host.Git; g.Program == "" {
		m.problem(fault.NotFound, "install git", "git-gate: there is no git on this host, which the gate runs")
	}
}

// gateImage is what has git in it: BOT_BOTTLE_GIT_IMAGE, else what is made here.
func (m *maker) gateImage() {
	g := &m.out.Plan.Git
	if ref, ok := m.host.Getenv(gitVariable); ok && ref != "" {
		g.Image = plan.Image{Ref: ref}
		return
	}
	g.Image = plan.Image{Dockerfile: gateDockerfile, Args: map[string]string{}}
	if base, ok := m.host.Getenv(baseVariable); ok && base != "" {
		g.Image.Args["BASE"] = base
	}
	m.out.Plan.Builds = append(m.out.Plan.Builds, "an image with git for the git gate")
}

// gatePlace says where the gate runs, for the preflight.
func gatePlace(g plan.Git) string {
	switch {
	case g.Gate == plan.GateInBackend && g.Image.Ref != "":
		return "in a container of its own, with the git of " + g.Image.Ref
	case g.Gate == plan.GateInBackend && g.Image.Args["BASE"] != "":
		return "in a container of its own, with git on " + g.Image.Args["BASE"]
	case g.Gate == plan.GateInBackend:
		return "in a container of its own"
	case g.Gate == plan.GateOnHost && g.Program != "":
		return "a process on this host, with " + g.Program
	}
	return "nowhere" // a problem says why
}
