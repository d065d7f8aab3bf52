package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/operator/inbox"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func (a *App) listCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show bottles, running and kept, over all backends",
		Long: "list shows every bottle and what state it is in: running, kept (resume goes on with it),\ncommitted (resume and start --from do, after the run is gone), or left over (cleanup removes it). " +
			"ASKED counts connections and requests, REFUSED those that\nwere denied, OPEN the questions that wait for you, LAST is when the agent last asked for anything.\n" +
			"FROM says who knows that: the bottle's sidecar, which counts since it started, or the log, which is\nall of the run, where there is no sidecar that answers.\n\n" +
			"Exit codes: 0 ok; 1 something could not be read.",
		Example: "  bot-bottle list\n  bot-bottle list --json | jq -r '.[] | select(.state == \"running\").identity'",
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := a.home()
			if err != nil {
				return err
			}
			states, err := a.states(c.Context(), home)
			frozen, ferr := home.AllFrozen()
			states, err = withCommitted(states, frozen), errors.Join(err, ferr)
			runs := make([]*store.Run, len(states))
			for i, s := range states {
				runs[i] = home.Run(s.ID)
			}
			did := view.Activities(c.Context(), inbox.Box{Home: home}.Connect, runs, func(i int) bool { return states[i].Running })
			if asJSON {
				return errors.Join(a.json(listed(states, did)), err)
			}
			return errors.Join(a.table(states, did), err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return c
}

// states joins what every backend and the home know of each bottle.
func (a *App) states(ctx context.Context, home *store.Home) ([]bottle.State, error) {
	all := map[instance.ID]bottle.State{}
	var errs []error
	for _, d := range a.Drivers(home) {
		states, err := a.deps(home, d).States(ctx)
		errs = append(errs, err)
		for _, s := range states {
			if old, ok := all[s.ID]; ok {
				s.Running = s.Running || old.Running
				s.Leftover = append(old.Leftover, s.Leftover...)
			}
			all[s.ID] = s
		}
	}
	out := make([]bottle.State, 0, len(all))
	for _, s := range all {
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y bottle.State) int { return cmp.Compare(x.ID, y.ID) })
	return out, errors.Join(errs...)
}

// row is a bottle as --json shows it.
type row struct {
	Identity  instance.ID `json:"identity"`
	State     string      `json:"state"` // "running", "observing" (it runs, and refuses little), "kept", "kept, committed", "committed", "left over" or "broken"
	Agent     string      `json:"agent"`
	Backend   string      `json:"backend"`
	StartedAt *time.Time  `json:"started_at"` // null where the record cannot be read
	Cwd       string      `json:"cwd"`
	Label     string      `json:"label"`
	Color     string      `json:"color"`
	// Activity is null where neither a sidecar answers nor a log can be read.
	Activity *view.Activity `json:"activity"`
}

func listed(states []bottle.State, did []view.Activity) []row {
	rows := make([]row, 0, len(states))
	for i, s := range states {
		r := row{Identity: s.ID, State: stateName(s), Agent: s.Record.AgentName, Backend: s.Record.Backend,
			Cwd: s.Record.Cwd, Label: s.Record.Label, Color: s.Record.Color}
		if !s.Record.StartedAt.IsZero() {
			r.StartedAt = &s.Record.StartedAt
		}
		if did[i].Source != "" {
			r.Activity = &did[i]
		}
		rows = append(rows, r)
	}
	return rows
}

func stateName(s bottle.State) string {
	switch {
	case s.Running && s.Record.Observe:
		return "observing"
	case s.Running:
		return "running"
	case s.Broken != nil:
		return "broken"
	case s.Preserved && s.Committed:
		return "kept, committed"
	case s.Preserved:
		return "kept"
	case s.Committed:
		return "committed"
	}
	return "left over"
}

// withCommitted adds what commit kept of bottles, those that are gone included.
func withCommitted(states []bottle.State, frozen []store.Frozen) []bottle.State {
	for _, f := range frozen {
		i := slices.IndexFunc(states, func(s bottle.State) bool { return s.ID == f.Identity })
		if i < 0 {
			states = append(states, bottle.State{ID: f.Identity, Record: f.Record, Committed: true})
			continue
		}
		states[i].Committed = true
	}
	slices.SortFunc(states, func(x, y bottle.State) int { return cmp.Compare(x.ID, y.ID) })
	return states
}

func (a *App) table(states []bottle.State, did []view.Activity) error {
	if len(states) == 0 {
		a.say("no bottles; bot-bottle start makes one")
		return nil
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "IDENTITY\tSTATE\tAGENT\tBACKEND\tSTARTED\tASKED\tREFUSED\tOPEN\tLAST\tFROM\tLABEL") // errors show at Flush
	for i, s := range states {
		since := "-"
		if !s.Record.StartedAt.IsZero() {
			since = ago(time.Since(s.Record.StartedAt))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, stateName(s), orDash(s.Record.AgentName), orDash(s.Record.Backend), since,
			activity(did[i]), orDash(quoted(s.Record.Label)))
	}
	return w.Flush()
}

// activity is the five columns of what a bottle did.
func activity(a view.Activity) string {
	if a.Source == "" {
		return "-\t-\t-\t-\t-"
	}
	last := "-"
	if !a.LastAt.IsZero() {
		last = ago(time.Since(a.LastAt))
	}
	return fmt.Sprintf("%d\t%d\t%d\t%s\t%s", a.Requests, a.Refused, a.Pending, last, a.Source)
}

// quoted shows a text plainly where it is plain, and quoted where it could drive a terminal.
func quoted(s string) string {
	if q := fmt.Sprintf("%+q", s); q != `"`+s+`"` {
		return q
	}
	return s
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

func (a *App) json(v any) error {
	enc := json.NewEncoder(a.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
