package manifest

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// layer is what one bottle file declares, or what several do together. A nil field is not
// declared, which differs from declared as empty.
type layer struct {
	name    string
	extends []*node // the parents' names, with their places

	env       map[string]Env
	provider  *Provider
	workspace *Workspace
	userName  *string
	userEmail *string
	sign      *string
	trailer   *string
	repos     map[string]Repo
	egress    *Egress
	supervise *bool
	resources *plan.Limits

	chain []string
	from  map[string]string // as Bottle.From
	// clashes are left over from folding; a child's own egress settles them.
	clashes []clash
}

// newLayer declares nothing.
func newLayer(name string) *layer {
	return &layer{name: name, chain: []string{name}, from: map[string]string{}}
}

// onTop returns child laid over base: what the child declares replaces the base's whole, except
// that env merges by name and the git user field by field.
func onTop(base, child *layer) *layer {
	out := stack(base, child)
	if child.repos != nil {
		out.repos = child.repos
		out.take("git-gate.repos", child)
	}
	if child.egress != nil {
		out.egress, out.clashes = child.egress, nil
		out.take("egress", child)
	}
	return out
}

// beside returns two parents folded: the later wins, repositories unite by name, and routes
// concatenate.
func beside(first, second *layer) *layer {
	out := stack(first, second)
	if second.repos != nil {
		out.repos = map[string]Repo{}
		maps.Copy(out.repos, first.repos)
		maps.Copy(out.repos, second.repos)
		out.add("git-gate.repos", second)
	}
	if second.egress != nil {
		out.clashes = slices.Concat(first.clashes, second.clashes)
		out.joinEgress(first, second)
	}
	return out
}

// stack does what both ways of merging share, and takes the rest from base.
func stack(base, top *layer) *layer {
	out := *base
	out.name, out.extends = top.name, nil
	out.env, out.from = maps.Clone(base.env), maps.Clone(base.from)
	out.chain = slices.Clone(base.chain)
	for _, name := range top.chain {
		if !slices.Contains(out.chain, name) {
			out.chain = append(out.chain, name)
		}
	}
	if top.env != nil {
		if out.env == nil {
			out.env = map[string]Env{}
		}
		maps.Copy(out.env, top.env)
		out.add("env", top)
	}
	replace(&out, "agent_provider", &out.provider, top.provider, top)
	replace(&out, "workspace", &out.workspace, top.workspace, top)
	replace(&out, "git-gate.user.name", &out.userName, top.userName, top)
	replace(&out, "git-gate.user.email", &out.userEmail, top.userEmail, top)
	replace(&out, "git-gate.sign", &out.sign, top.sign, top)
	replace(&out, "git-gate.trailer", &out.trailer, top.trailer, top)
	replace(&out, "supervise", &out.supervise, top.supervise, top)
	replace(&out, "resources", &out.resources, top.resources, top)
	return &out
}

func replace[T any](out *layer, field string, to **T, from *T, top *layer) {
	if from != nil {
		*to = from
		out.take(field, top)
	}
}

func under(field, path string) bool {
	return path == field || strings.HasPrefix(path, field+".")
}

// take says that a field and all below it come from where top has them.
func (l *layer) take(field string, top *layer) {
	maps.DeleteFunc(l.from, func(path, _ string) bool { return under(field, path) })
	l.add(field, top)
}

// add says that what top has of a field comes from where top has it.
func (l *layer) add(field string, top *layer) {
	for path, name := range top.from {
		if under(field, path) {
			l.from[path] = name
		}
	}
}

func (l *layer) joinEgress(first, second *layer) {
	joined := *second.egress
	if first.egress != nil {
		joined = *first.egress
		joined.Routes = slices.Clone(first.egress.Routes)
		if second.egress.Log != "" {
			joined.Log = second.egress.Log
		}
		if second.egress.UpstreamProxy != "" {
			joined.UpstreamProxy = second.egress.UpstreamProxy
		}
		if second.egress.OnDeny != "" {
			joined.OnDeny = second.egress.OnDeny
		}
		if second.egress.AskTimeout != 0 {
			joined.AskTimeout = second.egress.AskTimeout
		}
		joined.Limits = joined.Limits.Over(second.egress.Limits)
		for _, route := range second.egress.Routes {
			i := slices.IndexFunc(joined.Routes, func(have Route) bool {
				return have.Name() == route.Name() || have.Host == route.Host && policy.Beside(&have.Route, &route.Route) != nil
			})
			if i < 0 {
				joined.Routes = append(joined.Routes, route)
			} else if !reflect.DeepEqual(joined.Routes[i], route) {
				l.clashes = append(l.clashes, clash{route.Host, first.from["egress.routes."+joined.Routes[i].Name()], second.from["egress.routes."+route.Name()]})
			}
		}
	}
	l.egress = &joined
	l.add("egress", second)
}

// bottle sets the defaults.
func (l *layer) bottle() *Bottle {
	b := &Bottle{
		Name: l.name, Chain: l.chain, Env: []Env{}, Workspace: WorkspaceNone, Supervise: true,
		Provider: Provider{Template: DefaultTemplate},
		Git:      Git{Repos: []Repo{}}, Egress: Egress{Log: "summary", OnDeny: policy.OnDenyRefuse, Routes: []Route{}}, From: maps.Clone(l.from),
	}
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		b.Env = append(b.Env, l.env[name])
	}
	for _, name := range slices.Sorted(maps.Keys(l.repos)) {
		b.Git.Repos = append(b.Git.Repos, l.repos[name])
	}
	if l.provider != nil {
		b.Provider = *l.provider
		if b.Provider.Template == "" {
			b.Provider.Template = DefaultTemplate
		}
	}
	if l.egress != nil {
		b.Egress.UpstreamProxy, b.Egress.Limits = l.egress.UpstreamProxy, l.egress.Limits
		b.Egress.OnDeny, b.Egress.AskTimeout = cmp.Or(l.egress.OnDeny, policy.OnDenyRefuse), l.egress.AskTimeout
		b.Egress.Routes = append(b.Egress.Routes, l.egress.Routes...)
		if l.egress.Log != "" {
			b.Egress.Log = l.egress.Log
		}
	}
	set(&b.Workspace, l.workspace)
	set(&b.Supervise, l.supervise)
	set(&b.Resources, l.resources)
	set(&b.Git.User.Name, l.userName)
	set(&b.Git.User.Email, l.userEmail)
	set(&b.Git.Sign, l.sign)
	set(&b.Git.Trailer, l.trailer)
	return b
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
