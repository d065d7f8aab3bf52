package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/planner"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func (a *App) infoCommand() *cobra.Command {
	var bottles []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "info <agent>",
		Short: "Show the effective policy of an agent, and which file each part came from",
		Long: "info folds the agent's bottle and its parents and prints what holds. Values of variables are not shown.\n\n" +
			"Exit codes: 0 ok; 1 a manifest is wrong; 10 no such agent.",
		Example: "  bot-bottle info claude\n  bot-bottle info reviewer --bottle base --bottle work --json",
		Args:    exactly("<agent>"),
		RunE: func(_ *cobra.Command, args []string) error {
			home, err := a.home()
			if err != nil {
				return err
			}
			lib, _, err := a.library(home)
			if err != nil {
				return err
			}
			s, err := lib.Select(args[0], bottles...)
			if err != nil {
				return err
			}
			for i := range s.Bottle.Env {
				s.Bottle.Env[i].Value = "" // a literal may still be private
			}
			if asJSON {
				return a.json(s)
			}
			return a.describe(s)
		},
	}
	c.Flags().StringArrayVar(&bottles, "bottle", nil, "use the bottle `NAME` instead of the agent's; repeat to merge several")
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return c
}

func (a *App) describe(s *manifest.Selection) error {
	var out strings.Builder
	row := func(name, value, from string) {
		if from != "" {
			value += "  [" + from + "]"
		}
		fmt.Fprintf(&out, "%-14s %s\n", name, value)
	}
	b := s.Bottle
	origin := string(s.Agent.Source)
	if s.Agent.File != "" {
		origin += ", " + s.Agent.File
	}
	row("agent", s.Agent.Name, origin)
	row("bottle", strings.Join(b.Chain, " → "), "")
	row("provider", b.Provider.Template, b.From["agent_provider"])
	row("workspace", string(b.Workspace), b.From["workspace"])
	row("supervise", fmt.Sprint(b.Supervise), b.From["supervise"])
	for _, words := range planner.Resources(b.Resources) {
		row("resources", words, b.From["resources"])
	}
	for _, e := range b.Env {
		row("env", e.Name+" ("+string(e.Mode)+")", b.From["env."+e.Name])
	}
	row("skills", orDash(strings.Join(s.Agent.Skills, ", ")), "")
	describeGit(s, row)
	for _, r := range b.Egress.Routes {
		line := r.Host
		if r.Protocol == policy.ProtocolTCP {
			line += fmt.Sprintf(" tcp %v", r.Ports)
		}
		if r.Auth != nil {
			line += " credential " + r.Auth.TokenRef
		}
		row("egress", line, b.From["egress.routes."+r.Name()])
		for _, m := range r.Matches {
			row("", "    "+policy.DescribeMatch(m), "")
		}
		for _, words := range r.DLP.Words() {
			row("", "    "+words, "")
		}
		for _, allowed := range r.DLP.Allow {
			row("", "    lets pass "+allowed.String(), "")
		}
	}
	if len(b.Egress.Routes) == 0 {
		row("egress", "nothing but the provider's own", "")
	}
	known := slices.Collect(maps.Keys(b.From))
	if b.Egress.OnDeny == policy.OnDenyAsk {
		row("on deny", "ask, and wait "+strconv.Itoa(cmp.Or(b.Egress.AskTimeout, policy.DefaultAskSeconds))+" s", b.From["egress.on_deny"])
	}
	for _, l := range b.Egress.Limits.List() {
		row("egress limits", l.Name+" "+l.Value, b.From["egress.limits"])
	}
	if slices.Contains(known, "egress.upstream_proxy") {
		row("upstream proxy", "set", b.From["egress.upstream_proxy"])
	}
	_, err := fmt.Fprint(a.Out, out.String())
	return err
}

// describeGit is the identity of commits, what they carry, and where they can go.
func describeGit(s *manifest.Selection, row func(name, value, from string)) {
	b := s.Bottle
	if s.User.Name != "" {
		row("git name", s.User.Name, s.NameFrom)
	}
	if s.User.Email != "" {
		row("git email", s.User.Email, s.EmailFrom)
	}
	if b.Git.Sign != "" {
		row("git signing", "commits and tags, with "+b.Git.Sign, b.From["git-gate.sign"])
	}
	if b.Git.Trailer != "" {
		row("git trailer", b.Git.Trailer, b.From["git-gate.trailer"])
	}
	for _, r := range b.Git.Repos {
		row("git remote", r.Name+" "+r.URL, b.From["git-gate.repos."+r.Name])
		row("", "    pushes "+r.Push.Words("<identity>"), "")
	}
}
