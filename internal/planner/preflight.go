package planner

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Preflight writes a plan for the person who decides whether it starts. It holds no value of a
// variable and quotes what came from a repository.
func Preflight(w io.Writer, p *plan.Plan) error {
	t := &table{}
	if p.Egress.Observe {
		t.row("WARNING", Observing)
	}
	t.row("agent", p.Agent)
	t.row("bottle", strings.Join(p.Bottles, " → "))
	t.row("provider", p.Provider)
	t.row("backend", p.Backend.Name+" ("+p.Backend.Reason+")")
	t.row("isolation", p.Backend.Isolation)
	t.row("resources", Resources(p.Limits)...)
	if p.Label != "" {
		t.row("label", strconv.Quote(p.Label))
	}
	t.row("env", envNames(p.Env)...)
	var skills []string
	for _, s := range p.Skills {
		if !slices.Contains(skills, s.Name) { // a harness may look for them in two places
			skills = append(skills, s.Name)
		}
	}
	t.row("skills", orNone(skills)...)
	t.row("git user", gitUser(p.Git))
	if p.Git.Sign != nil {
		t.row("git signing", signing(p.Git.Sign))
	}
	if p.Git.Trailer != "" {
		t.row("git trailer", p.Git.Trailer)
	}
	var remotes []string
	for _, r := range p.Git.Repos {
		remotes = append(remotes, r.Name+" "+r.URL, "    pushes "+r.Push.Words(string(p.ID)))
	}
	t.row("git remotes", orNone(remotes)...)
	if p.Git.Gated() {
		t.row("git gate", gatePlace(p.Git))
	}
	t.row("egress", egress(p.Egress)...)
	var limits []string
	for _, l := range p.Egress.Limits.List() {
		limits = append(limits, l.Name+" "+l.Value)
	}
	t.row("egress limits", limits...)
	if p.Egress.UpstreamProxy != "" {
		t.row("upstream proxy", "from "+policy.RefName(p.Egress.UpstreamProxy))
	}
	t.row("asking", asking(p))
	t.row("workspace", workspace(p))
	t.row("builds", orNone(p.Builds)...)
	t.row("state", p.Paths.State)
	t.row("note", p.Notes...)
	_, err := io.WriteString(w, t.String())
	return err
}

// Resources are the words for what a bottle may use of its machine, where its manifest says so.
func Resources(l plan.Limits) []string {
	var words []string
	if l.MilliCPUs > 0 {
		words = append(words, "cpus "+strconv.FormatFloat(float64(l.MilliCPUs)/1000, 'f', -1, 64))
	}
	if l.MemoryBytes > 0 {
		words = append(words, fmt.Sprintf("memory %d bytes", l.MemoryBytes))
	}
	if l.Processes > 0 {
		words = append(words, fmt.Sprintf("processes %d", l.Processes))
	}
	return words
}

// asking is what the agent may ask the operator for.
func asking(p *plan.Plan) string {
	switch {
	case !p.Supervise:
		return "no"
	case p.Egress.OnDeny == policy.OnDenyAsk:
		return fmt.Sprintf("yes; a request without a route is held for %d s", cmp.Or(p.Egress.AskSeconds, policy.DefaultAskSeconds))
	}
	return "yes, through the supervise tools"
}

func workspace(p *plan.Plan) string {
	switch w := p.Workspace; {
	case w.HostPath != "":
		return "a copy of " + w.HostPath
	case w.Path == "":
		return "none"
	case p.Resume:
		return "the copy of the first start"
	}
	return "empty"
}

// table lines up rows of a name and one or more lines.
type table struct{ b strings.Builder }

func (t *table) row(name string, lines ...string) {
	for i, line := range lines {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(&t.b, "  %-15s %s\n", name, line)
	}
}

func (t *table) String() string { return t.b.String() }

func orNone(lines []string) []string {
	if len(lines) == 0 {
		return []string{"none"}
	}
	return lines
}

func envNames(env []plan.EnvVar) []string {
	var own []string
	for _, e := range env {
		switch e.Source {
		case "host":
			own = append(own, e.Name+" (from the host's "+e.Ref+")")
		case "ask":
			own = append(own, e.Name+" (asked)")
		case "literal":
			own = append(own, e.Name)
		}
	}
	return orNone(own)
}

func gitUser(g plan.Git) string {
	if g.Name == "" && g.Email == "" {
		return "none"
	}
	var parts []string
	if g.Name != "" {
		parts = append(parts, fmt.Sprintf("%s (%s)", g.Name, g.NameFrom))
	}
	if g.Email != "" {
		parts = append(parts, fmt.Sprintf("<%s> (%s)", g.Email, g.EmailFrom))
	}
	return strings.Join(parts, " ")
}

// signing is the key as ssh-keygen -l shows it, and where it is.
func signing(s *plan.GitSign) string {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.Public))
	if err != nil {
		return s.Key // a problem says why
	}
	return "commits and tags, with " + key.Type() + " " + ssh.FingerprintSHA256(key) + ", " + s.Key
}

// egress is one line a host, sorted, with what limits it and what is put in.
func egress(set policy.Set) []string {
	routes := slices.Clone(set.Routes)
	slices.SortFunc(routes, func(a, b policy.Route) int { return cmp.Compare(a.Name(), b.Name()) })
	var lines []string
	for _, r := range routes {
		line := r.Host
		for _, port := range r.Ports {
			if port != 443 || len(r.Ports) > 1 {
				line += fmt.Sprintf(":%d", port)
			}
		}
		for _, extra := range policy.Traits(r) {
			line += "  " + extra
		}
		lines = append(lines, line)
		for _, m := range r.Matches {
			lines = append(lines, "    "+policy.DescribeMatch(m))
		}
		for _, a := range r.DLP.Allow {
			lines = append(lines, "    lets pass "+a.String())
		}
	}
	if len(lines) == 0 {
		return []string{"nothing"}
	}
	return lines
}
