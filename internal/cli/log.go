package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

func (a *App) logCommand() *cobra.Command {
	var filter audit.Filter
	var follow, asJSON bool
	var since time.Duration
	c := &cobra.Command{
		Use:   "log <identity>",
		Short: "Show what went out of a bottle, what was refused, and why",
		Long:  "log prints the audit log of a run, one event a line; values of secrets are never in it.\n\nExit codes: 0 ok, also when Ctrl-C ends -f; 1 a line is damaged; 10 no such bottle.",
		Example: "  bot-bottle log claude-x7k2p\n  bot-bottle log claude-x7k2p -f --verdict deny\n" +
			"  bot-bottle log claude-x7k2p --host '*.example.org' --json",
		Args: exactly("<identity>"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			if filter.Verdict != "" && filter.Verdict != "allow" && filter.Verdict != "deny" {
				return usage(c, "there is no verdict %q: want allow or deny", filter.Verdict)
			}
			id, err := identity(c, args[0])
			if err != nil {
				return err
			}
			home, err := a.home()
			if err != nil {
				return err
			}
			run, err := home.Find(id)
			if err != nil {
				return err
			}
			if since > 0 {
				filter.Since = time.Now().Add(-since)
			}
			var damaged []error
			for e, err := range audit.Read(ctx, run.Paths().Audit, filter, follow) {
				switch {
				case errors.Is(err, audit.ErrDamaged):
					damaged = append(damaged, err)
				case err != nil:
					return fault.New(fault.Internal, "cannot read the log of %q: %w", id, err)
				default:
					if err := a.event(e, asJSON); err != nil {
						return err
					}
				}
			}
			return errors.Join(damaged...)
		},
	}
	f := c.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on as events come")
	f.BoolVar(&asJSON, "json", false, "for programs: one JSON object a line")
	f.StringSliceVar(&filter.Kinds, "kind", nil, "only these `KINDS`: request, connect, dns, lifecycle, alarm, note")
	f.StringVar(&filter.Verdict, "verdict", "", "only allow or deny")
	f.StringVar(&filter.Host, "host", "", "only this `HOST`, or *.example.org")
	f.DurationVar(&since, "since", 0, "only the last `DURATION`, such as 10m")
	return c
}

func (a *App) event(e audit.Event, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.Out).Encode(e)
	}
	_, err := fmt.Fprintln(a.Out, audit.Render(e, time.Local))
	return err
}
