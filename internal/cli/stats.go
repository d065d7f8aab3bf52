package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

func (a *App) statsCommand() *cobra.Command {
	var asJSON, prometheus bool
	c := &cobra.Command{
		Use:   "stats [identity…]",
		Short: "Count what running bottles did: verdicts, bytes, memory",
		Long: "stats asks the sidecars of the named bottles, or of all that run. A monitoring system can ask one itself: its\n" +
			"status socket, state/<identity>/run/sidecar.sock, answers GET /metrics to processes of your user.\n\n" +
			"Exit codes: 0 ok; 1 a bottle does not answer; 10 no such bottle runs.",
		Example: "  bot-bottle stats\n  bot-bottle stats claude-x7k2p --prometheus\n" +
			"  curl --unix-socket ~/.bot-bottle/state/claude-x7k2p/run/sidecar.sock http://bottle/metrics",
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			if len(args) == 0 {
				args = a.identities(true)()
			}
			all := make([]control.Measured, 0, len(args))
			var errs []error
			for _, name := range args {
				errs = append(errs, a.operate(ctx, c, name, func(client *control.Client, id instance.ID) error {
					stats, err := client.Stats(ctx)
					if err == nil {
						all = append(all, control.Measured{ID: id, Stats: stats})
					}
					return err
				}))
			}
			switch {
			case asJSON:
				errs = append(errs, a.json(all))
			case prometheus:
				errs = append(errs, control.WriteMetrics(a.Out, all))
			default:
				errs = append(errs, a.statsTable(all))
			}
			return errors.Join(errs...)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	c.Flags().BoolVar(&prometheus, "prometheus", false, "in the text format of Prometheus")
	c.MarkFlagsMutuallyExclusive("json", "prometheus")
	return c
}

func (a *App) statsTable(all []control.Measured) error {
	if len(all) == 0 {
		a.say("no bottle runs")
		return nil
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "IDENTITY\tUP\tROUTES\tREQUESTS\tREFUSED\tALARMS\tSENT\tRECEIVED\tSIDECAR\tREFUSED BY") // errors show at Flush
	for _, m := range all {
		s := m.Stats
		var by []string
		for _, layer := range slices.Sorted(maps.Keys(s.DeniedBy)) {
			by = append(by, fmt.Sprintf("%s %d", layer, s.DeniedBy[layer]))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", m.ID, time.Duration(s.UptimeSeconds*float64(time.Second)).Round(time.Second),
			s.Routes, s.Requests, s.Refused, s.Alarms, bytesOf(s.SentBytes), bytesOf(s.ReceivedBytes), bytesOf(s.ResidentBytes), orDash(strings.Join(by, ", ")))
	}
	return w.Flush()
}

// bytesOf is a size as docker stats writes it.
func bytesOf(n int64) string {
	size, unit := float64(n), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if size < 1000 {
			break
		}
		size, unit = size/1000, next
	}
	return fmt.Sprintf("%.3g%s", size, unit)
}
