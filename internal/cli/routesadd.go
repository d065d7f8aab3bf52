package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// routeOptions are the flags of routes add.
type routeOptions struct {
	file           string
	paths, methods []string
	ports          []uint
	gitFetch, pass bool
}

func (a *App) routesAddCommand() *cobra.Command {
	var o routeOptions
	c := &cobra.Command{
		Use: "add <identity> [host]", Short: "Give routes to a running bottle, until it ends",
		Long: "add takes one host with flags, or with -f routes as a bottle's file writes them: one, a list, or all of egress.\n" +
			"A set with anything wrong in it is refused whole. A credential can be named only where the bottle started with it.\n\n" +
			"Exit codes: 0 ok; 1 the change was refused, and nothing changed; 2 usage; 10 no such bottle runs.",
		Example: "  bot-bottle routes add claude-x7k2p api.example.org\n" +
			"  bot-bottle routes add claude-x7k2p api.example.org --path '/v1/*' --path /health --method GET --port 8443\n" +
			"  bot-bottle routes add claude-x7k2p -f routes.yaml\n  echo 'host: api.example.org' | bot-bottle routes add claude-x7k2p -f -",
		Args: func(c *cobra.Command, args []string) error {
			want := 2
			if o.file != "" {
				want = 1
			}
			if len(args) != want {
				return usage(c, "%s wants <identity> and either a host or -f FILE", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			added, err := a.routesToAdd(c, o, args[1:])
			if err != nil {
				return err
			}
			return a.changeRoutes(c, args[0], func(set policy.Set) (policy.Set, error) {
				set.Routes = slices.Clone(set.Routes)
				for _, r := range added {
					if !slices.ContainsFunc(set.Routes, func(have policy.Route) bool { return policy.Same(have, r) }) {
						a.tellOfTakeover(set, r)
						set.Routes = append(set.Routes, r)
					}
				}
				return set, nil
			})
		},
	}
	f := c.Flags()
	f.StringVarP(&o.file, "file", "f", "", "routes as YAML from `FILE`, or - for the standard input")
	f.StringArrayVar(&o.paths, "path", nil, "only this `PATH`, or with a * at its end what begins so; may be repeated")
	f.StringSliceVar(&o.methods, "method", nil, "only these `METHODS`")
	f.UintSliceVar(&o.ports, "port", nil, "these `PORTS` instead of 443 and 80")
	f.Lookup("port").DefValue = ""
	f.BoolVar(&o.gitFetch, "git-fetch", false, "git clone and fetch too")
	f.BoolVar(&o.pass, "passthrough", false, "leave TLS closed: what goes through is neither limited nor scanned")
	return c
}

// routesToAdd reads the routes, from a file or from the flags, as strictly as a bottle's file.
func (a *App) routesToAdd(c *cobra.Command, o routeOptions, args []string) ([]policy.Route, error) {
	name := "the command line"
	var text string
	if o.file == "" {
		for _, p := range o.ports {
			if p < 1 || p > 65535 {
				return nil, usage(c, "there is no port %d", p)
			}
		}
		text = o.yaml(args[0])
	} else {
		for _, flag := range []string{"path", "method", "port", "git-fetch", "passthrough"} {
			if c.Flags().Changed(flag) {
				return nil, usage(c, "--%s says something about a host; with -f it stands in the file", flag)
			}
		}
		raw, err := a.read(o.file)
		if err != nil {
			return nil, err
		}
		name, text = o.file, string(raw)
	}
	home, err := a.home()
	if err != nil {
		return nil, err
	}
	lib, cwd, err := a.library(home)
	if err != nil {
		return nil, err
	}
	written, warnings, err := manifest.ReadRoutes(name, []byte(text))
	for _, w := range warnings {
		a.say("warning: %s", w)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	host := a.host(home, lib, cwd)
	routes := make([]policy.Route, len(written))
	for i, w := range written {
		if routes[i], err = host.Route(w); err != nil {
			return nil, err
		}
	}
	return routes, nil
}

// maxRoutesFile is as much as a manifest may have.
const maxRoutesFile = 64 << 10

func (a *App) read(file string) ([]byte, error) {
	from := io.Reader(a.In)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fault.New(fault.NotFound, "cannot read %s: %w", file, reason(err))
		}
		defer f.Close()
		from = f
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxRoutesFile+1))
	if err != nil {
		return nil, fault.New(fault.Internal, "cannot read %s: %w", file, reason(err))
	}
	if len(raw) > maxRoutesFile {
		return nil, fault.New(fault.Invalid, "cannot read %s: it has more than %d bytes", file, maxRoutesFile)
	}
	return raw, nil
}

// yaml writes the flags down as a file would have them, so that there is one reader of routes.
func (o routeOptions) yaml(host string) string {
	r := policy.Route{Host: host}
	for _, p := range o.ports {
		r.Ports = append(r.Ports, uint16(p))
	}
	if len(o.paths)+len(o.methods) > 0 {
		m := policy.Match{Methods: o.methods}
		for _, p := range o.paths {
			match := policy.PathMatch{Type: "exact", Value: p}
			if prefix, ok := strings.CutSuffix(p, "*"); ok {
				match = policy.PathMatch{Type: "prefix", Value: prefix}
			}
			m.Paths = append(m.Paths, match)
		}
		r.Matches = []policy.Match{m}
	}
	if o.gitFetch {
		r.Git = policy.GitFetch
	}
	if o.pass {
		r.TLS = policy.TLSPassthrough
	}
	return r.YAML()
}

// tellOfTakeover warns where a route makes a wider one count no longer for its host.
func (a *App) tellOfTakeover(set policy.Set, r policy.Route) {
	for _, have := range set.Routes {
		if suffix, wild := strings.CutPrefix(have.Host, "*"); wild && have.Host != r.Host && strings.HasSuffix(r.Host, suffix) {
			a.say("warning: %s", fmt.Sprintf("from now on only this route counts for %s, and no longer that of %s", r.Host, have.Host))
		}
	}
}
