package planner_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/planner"
)

const gatedBottle = `---
git-gate:
  user: {name: Bot, email: bot@example.org}
  sign: {key: ~/.ssh/bot}
---
`

// TestWhereTheGateRuns goes through every kind of machine and choice.
func TestWhereTheGateRuns(t *testing.T) {
	for name, tc := range map[string]struct {
		linux, backend bool
		git            string
		env            map[string]string
		gate           string
		shown          string // in the preflight
		problem, hint  string
	}{
		"native on Linux":              {linux: true, git: "/usr/bin/git", gate: plan.GateOnHost, shown: "a process on this host, with /usr/bin/git"},
		"native on Linux without git":  {linux: true, gate: plan.GateOnHost, problem: "there is no git on this host", hint: "install git"},
		"native elsewhere":             {git: "/usr/bin/git", problem: "it needs Linux", hint: "--backend docker"},
		"docker on Linux":              {linux: true, backend: true, gate: plan.GateInBackend, shown: "in a container of its own"},
		"docker elsewhere without git": {backend: true, gate: plan.GateInBackend, shown: "in a container of its own"},
		"docker with a base": {
			backend: true, gate: plan.GateInBackend, env: map[string]string{"BOT_BOTTLE_BASE_IMAGE": "company:1"}, shown: "with git on company:1",
		},
		"docker with an image": {
			backend: true, gate: plan.GateInBackend, env: map[string]string{"BOT_BOTTLE_GIT_IMAGE": "git:1"}, shown: "with the git of git:1",
		},
		"docker, but on this host": {
			linux: true, backend: true, git: "/usr/bin/git", env: map[string]string{"BOT_BOTTLE_GIT_GATE": "host"}, gate: plan.GateOnHost, shown: "a process on this host",
		},
		"docker, but on a host that cannot": {
			backend: true, git: "/usr/bin/git", env: map[string]string{"BOT_BOTTLE_GIT_GATE": "host"}, problem: "it needs Linux", hint: "take BOT_BOTTLE_GIT_GATE out",
		},
		"docker, but on this host without git": {
			linux: true, backend: true, env: map[string]string{"BOT_BOTTLE_GIT_GATE": "host"}, gate: plan.GateOnHost, problem: "there is no git on this host", hint: "install git",
		},
		"no place at all": {
			linux: true, backend: true, git: "/usr/bin/git", env: map[string]string{"BOT_BOTTLE_GIT_GATE": "off"}, problem: `"off"`, hint: "BOT_BOTTLE_GIT_GATE=host",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, gatedBottle, "---\nbottle: work\n---\n")
			w.write(t, w.user+"/.ssh/bot", privateKey(t))
			for k, v := range tc.env {
				w.env[k] = v
			}
			host, r := w.host(t), request()
			host.Gate, host.Git, r.Backend.Gate = tc.linux, tc.git, tc.backend
			p, err := planner.Make(host, r)
			if err != nil {
				t.Fatal(err)
			}
			if p.Plan.Git.Gate != tc.gate {
				t.Errorf("the gate runs %q, want %q", p.Plan.Git.Gate, tc.gate)
			}
			if needs := slices.Contains(p.Plan.Needs, "git-gate"); needs != (tc.gate == plan.GateInBackend) {
				t.Errorf("the plan needs %v", p.Plan.Needs)
			}
			if tc.gate == plan.GateInBackend && p.Plan.Git.Program != "" {
				t.Errorf("the host's git is asked for: %s", p.Plan.Git.Program)
			}
			if tc.problem == "" {
				if len(p.Problems) > 0 {
					t.Fatal(p.Problems)
				}
				var text bytes.Buffer
				if err := planner.Preflight(&text, p.Plan); err != nil || !strings.Contains(text.String(), tc.shown) {
					t.Errorf("the preflight does not say %q: %v\n%s", tc.shown, err, text.String())
				}
				return
			}
			if len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Error(), tc.problem) || !strings.Contains(fault.HintOf(p.Problems[0]), tc.hint) {
				t.Errorf("%v, hint %q", p.Problems, fault.HintOf(p.Problems[0]))
			}
		})
	}
}
