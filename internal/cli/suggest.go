package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// refusals are what a log tells of requests that no route allowed.
type refusals struct {
	requests []policy.Refused
	looked   map[string]bool // names that were looked up in vain
	routed   map[string]bool // hosts that have a route, which did not allow this
	opaque   map[string]bool // hosts to which something spoke neither TLS nor HTTP
}

func (a *App) suggest(ctx context.Context, run *store.Run, o logOptions) error {
	seen := refusals{looked: map[string]bool{}, routed: map[string]bool{}, opaque: map[string]bool{}}
	var damaged []error
	for e, err := range audit.Read(ctx, run.Paths().Audit, o.filter, false) {
		switch {
		case errors.Is(err, audit.ErrDamaged):
			damaged = append(damaged, err)
		case err != nil:
			return fault.New(fault.Internal, "cannot read the log of %q: %w", run.ID, err)
		default:
			seen.add(e)
		}
	}
	suggestions, left := policy.Suggest(seen.requests, o.exact)
	text := seen.yaml(string(run.ID), suggestions, left)
	if len(suggestions) == 0 {
		a.say("nothing was refused that a route would allow")
	}
	_, err := fmt.Fprint(a.Out, text)
	return errors.Join(append(damaged, err)...)
}

// add takes in what a route would have allowed; refusals of other layers are no matter of routes.
func (s *refusals) add(e audit.Event) {
	switch {
	case e.Would == "deny" && e.Kind == "request":
		s.requests = append(s.requests, policy.Refused{Host: e.Host, Port: e.Port, Method: e.Method, Path: e.Path})
		if strings.Contains(e.Reason, "route of ") {
			s.routed[e.Host] = true
		}
	case e.Verdict != "deny":
	case e.Kind == "dns" && e.Layer != policy.LayerAddress && !strings.HasSuffix(e.Host, ".invalid"): // the self-check asks for one
		s.looked[e.Host] = true
	case e.Kind == "connect" && e.Layer == policy.LayerEgress && e.Via != "transparent":
		s.requests = append(s.requests, policy.Refused{Host: e.Host, Port: e.Port, Method: "CONNECT"})
		if strings.Contains(e.Reason, "route of ") {
			s.routed[e.Host] = true
		}
	case e.Kind == "connect" && e.Layer == policy.LayerEgress:
		s.opaque[e.Host] = true
	case e.Kind == "request" && (e.Layer == policy.LayerEgress || e.Layer == policy.LayerGit && strings.HasPrefix(e.Rule, "git: fetch")):
		s.requests = append(s.requests, policy.Refused{Host: e.Host, Port: e.Port, Method: e.Method, Path: e.Path, Fetch: e.Layer == policy.LayerGit})
		if strings.Contains(e.Reason, "route of ") || e.Layer == policy.LayerGit {
			s.routed[e.Host] = true
		}
	}
}

// yaml is a bottle's egress key; what is no route stands in comments, escaped.
func (s *refusals) yaml(id string, suggestions []policy.Suggestion, left []policy.Unsuggested) string {
	var b strings.Builder
	if len(suggestions) > 0 {
		requests := 0
		for _, one := range suggestions {
			requests += one.Seen
			delete(s.looked, one.Route.Host)
		}
		fmt.Fprintf(&b, "# What would have allowed %s of %s. The agent chose what it asked for: read before you use it.\n", count(requests, "refused request"), id)
		b.WriteString("egress:\n  routes:\n")
		for _, one := range suggestions {
			if s.routed[one.Route.Host] {
				one.Notes = append(one.Notes, "the host has a route already: join the two")
			}
			fmt.Fprintf(&b, "    # %s\n", strings.Join(append([]string{count(one.Seen, "request")}, one.Notes...), "; "))
			for line := range strings.Lines(one.Route.YAML()) {
				b.WriteString("    " + line)
			}
		}
	}
	for _, u := range left {
		fmt.Fprintf(&b, "# left out: %s (%d): %s\n", u.Host, u.Seen, u.Why)
	}
	s.comment(&b, "spoke neither TLS nor HTTP, which may want a route with protocol: tcp", s.opaque)
	s.comment(&b, "only looked up, so nothing is known of what was wanted", s.looked)
	return b.String()
}

// most is how many names a comment lists.
const most = 50

func (s *refusals) comment(b *strings.Builder, what string, hosts map[string]bool) {
	names := slices.Sorted(maps.Keys(hosts))
	if len(names) == 0 {
		return
	}
	shown := make([]string, 0, len(names))
	for _, n := range names[:min(most, len(names))] {
		shown = append(shown, audit.Punycode(n))
	}
	if len(names) > most {
		shown = append(shown, fmt.Sprintf("and %d more", len(names)-most))
	}
	fmt.Fprintf(b, "# %s: %s\n", what, strings.Join(shown, ", "))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
