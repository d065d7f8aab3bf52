package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

func (a *App) routesCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "routes <identity>",
		Short: "Show, add and remove the routes of a running bottle",
		Long: "routes shows what a running bottle may reach now. add and remove change that until the bottle ends; its file\n" +
			"stays as it is. What is under way goes on under the routes it began with.\n\n" +
			"Exit codes: 0 ok; 1 the change was refused, and nothing changed; 2 usage; 10 no such bottle runs.",
		Example: "  bot-bottle routes claude-x7k2p\n  bot-bottle routes add claude-x7k2p api.example.org --path '/v1/*' --method GET\n" +
			"  bot-bottle routes remove claude-x7k2p api.example.org\n  bot-bottle log claude-x7k2p --suggest | bot-bottle routes add claude-x7k2p -f -",
		Args: exactly("<identity>"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return a.operate(ctx, c, args[0], func(client *control.Client, _ instance.ID) error {
				live, err := client.Routes(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return a.json(live)
				}
				return a.routesTable(live.Egress)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs: the revision, and the policy as the sidecar has it")
	c.AddCommand(a.routesAddCommand(), a.routesRemoveCommand())
	return c
}

func (a *App) routesTable(set policy.Set) error {
	if len(set.Routes) == 0 {
		a.say("no routes: nothing leaves")
		return nil
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "HOST\tPORTS\tALLOWS\tNOTES") // errors show at Flush
	for _, r := range set.Routes {
		allows := []string{"everything"}
		if len(r.Matches) > 0 {
			allows = allows[:0]
			for _, m := range r.Matches {
				allows = append(allows, policy.DescribeMatch(m))
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", audit.Punycode(r.Host), portList(r.Ports), quoted(allows[0]), quoted(orDash(strings.Join(policy.Traits(r), ", "))))
		for _, more := range allows[1:] {
			_, _ = fmt.Fprintf(w, "\t\t%s\t\n", quoted(more))
		}
	}
	return w.Flush()
}

func portList(ports []uint16) string {
	if len(ports) == 0 {
		ports = []uint16{443, 80}
	}
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = strconv.Itoa(int(p))
	}
	return strings.Join(texts, ",")
}

func (a *App) routesRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove <identity> <host>…", Aliases: []string{"rm"}, Short: "Take routes from a running bottle, until it ends",
		Long: "remove takes away every route that names one of the hosts, exactly as routes shows them. A provider's routes stay.\n\n" +
			"Exit codes: 0 ok; 1 the change was refused, and nothing changed; 2 usage; 10 no such bottle runs, or it has no such route.",
		Example: "  bot-bottle routes remove claude-x7k2p api.example.org '*.example.org'",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage(c, "%s wants <identity> <host>…", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeRoutes(c, args[0], func(set policy.Set) (policy.Set, error) {
				for _, host := range args[1:] {
					left := slices.DeleteFunc(slices.Clone(set.Routes), func(r policy.Route) bool { return strings.EqualFold(r.Host, host) })
					if len(left) == len(set.Routes) {
						return set, fault.WithHint(fault.New(fault.NotFound, "there is no route %s", quoted(host)), "bot-bottle routes %s shows them", args[0])
					}
					set.Routes = left
				}
				return set, nil
			})
		},
	}
}

// attempts bound how often a change is made again because another one came first.
const attempts = 50

// changeRoutes makes edit's change to the live routes, also where others change them meanwhile.
func (a *App) changeRoutes(c *cobra.Command, name string, edit func(policy.Set) (policy.Set, error)) error {
	ctx, stop := interruptible(c.Context())
	defer stop()
	return a.operate(ctx, c, name, func(client *control.Client, id instance.ID) error {
		before, after, err := change(ctx, client, edit)
		if err != nil {
			return err
		}
		d := policy.Compare(before, after)
		for _, r := range d.Removed {
			a.say("removed %s", quoted(policy.Describe(r)))
		}
		for _, r := range d.Added {
			a.say("added %s", quoted(policy.Describe(r)))
		}
		if len(d.Removed)+len(d.Added) == 0 {
			a.say("nothing to change: %s has that already", id)
		}
		return nil
	})
}

func change(ctx context.Context, client *control.Client, edit func(policy.Set) (policy.Set, error)) (before, after policy.Set, err error) {
	for range attempts {
		live, err := client.Routes(ctx)
		if err != nil {
			return before, after, err
		}
		before = live.Egress
		if live.Egress, err = edit(live.Egress); err != nil {
			return before, after, err
		}
		if d := policy.Compare(before, live.Egress); len(d.Removed)+len(d.Added) == 0 {
			return before, before, nil
		}
		live, err = client.SetRoutes(ctx, live)
		if !fault.Is(err, fault.Busy) {
			return before, live.Egress, err
		}
	}
	return before, after, fault.New(fault.Busy, "cannot change the routes: others change them all the time")
}
