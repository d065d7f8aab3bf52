package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func (a *App) cleanupCommand() *cobra.Command {
	var yes, preserved bool
	c := &cobra.Command{
		Use:   "cleanup [identity…]",
		Short: "Remove what runs left behind",
		Long: "cleanup lists what is left over on every backend, asks once, and removes it. What runs is never\n" +
			"touched; what is kept goes only with --preserved or by name, but for what its backend still has of it.\n" +
			"Images that no run needs are listed with their sizes; the one that an agent was last made of stays without --preserved.\n\n" +
			"Exit codes: 0 done or nothing to do; 3 some of it was removed; 10 no such bottle; 11 a named bottle runs; 130 declined.",
		Example: "  bot-bottle cleanup\n  bot-bottle cleanup --preserved --yes\n  bot-bottle cleanup claude-x7k2p",
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			home, err := a.home()
			if err != nil {
				return err
			}
			states, err := a.states(ctx, home)
			if err != nil {
				return err
			}
			chosen, err := removable(c, states, args, preserved)
			if err != nil {
				return err
			}
			r := removal{bottles: chosen, whole: preserved || len(args) > 0}
			if len(args) == 0 {
				if r.unfinished, err = home.Unfinished(); err != nil {
					return err
				}
				if r.surplus, err = a.surplus(ctx, home, states, chosen, preserved); err != nil {
					return err
				}
			}
			return errors.Join(a.revokeLeft(ctx, home), a.cleanup(ctx, home, r, yes, len(states)))
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&preserved, "preserved", false, "remove what is kept for a resume too")
	return c
}

// removable picks what may go: the named ones, else what is left over, and with preserved what
// is kept.
func removable(c *cobra.Command, states []bottle.State, args []string, preserved bool) ([]bottle.State, error) {
	if len(args) == 0 {
		var out []bottle.State
		for _, s := range states {
			orphaned := !s.Owned && len(s.Leftover) > 0 // also where it still runs: nobody is there for it
			if orphaned || !s.Running && (preserved || !s.Preserved) {
				out = append(out, s)
			}
		}
		return out, nil
	}
	byID := map[instance.ID]bottle.State{}
	for _, s := range states {
		byID[s.ID] = s
	}
	var out []bottle.State
	for _, name := range args {
		id, err := identity(c, name)
		if err != nil {
			return nil, err
		}
		s, ok := byID[id]
		switch {
		case !ok:
			return nil, fault.WithHint(fault.New(fault.NotFound, "there is no bottle %q", id), "bot-bottle list shows what there is")
		case s.Running:
			return nil, fault.WithHint(fault.New(fault.Busy, "cannot remove %q: it is running", id), "end it with bot-bottle stop %s", id)
		}
		out = append(out, s)
	}
	return out, nil
}

// removal is what may go. Of what is kept, without whole, only what the backend has.
type removal struct {
	bottles    []bottle.State
	unfinished []string // what killed commits left
	surplus    []surplus
	whole      bool
}

// surplus is what a backend has and no run needs.
type surplus struct {
	of    backend.Hoarder
	items []backend.Surplus
}

// surplus asks the backends for it, as it will be when the chosen bottles are gone.
func (a *App) surplus(ctx context.Context, home *store.Home, states, chosen []bottle.State, preserved bool) ([]surplus, error) {
	stay := map[instance.ID]bool{}
	for _, s := range states {
		stay[s.ID] = true
	}
	for _, s := range chosen {
		stay[s.ID] = s.Preserved && !preserved
	}
	frozen, err := home.AllFrozen()
	if err != nil {
		return nil, err
	}
	for _, f := range frozen { // a resume may go on with it
		stay[f.Identity] = true
	}
	var all []surplus
	for _, d := range a.Drivers(home) {
		h, ok := d.(backend.Hoarder)
		if !ok {
			continue
		}
		items, err := h.Surplus(ctx, func(id instance.ID) bool { return stay[id] }, preserved)
		if err != nil {
			return nil, err
		}
		if len(items) > 0 {
			all = append(all, surplus{h, items})
		}
	}
	return all, nil
}

// count is how many things go.
func (r removal) count() int {
	n := len(r.bottles) + len(r.unfinished)
	for _, s := range r.surplus {
		n += len(s.items)
	}
	return n
}

// show lists them.
func (r removal) show(w io.Writer) {
	for _, s := range r.bottles {
		what := append([]string{stateName(s)}, s.Leftover...)
		if s.Preserved && !r.whole {
			what[0] = "kept, and stays so; without an owner"
		}
		_, _ = fmt.Fprintf(w, "%s  %s\n", s.ID, strings.Join(what, ", "))
	}
	for _, dir := range r.unfinished {
		_, _ = fmt.Fprintf(w, "%s  what a commit left that was killed\n", dir)
	}
	for _, s := range r.surplus {
		for _, i := range s.items {
			size := ""
			if i.Bytes > 0 {
				size = fmt.Sprintf(", %.1f MB", float64(i.Bytes)/1e6)
			}
			_, _ = fmt.Fprintf(w, "%s  %s%s\n", i.Name, i.What, size)
		}
	}
}

// cleanup removes what was chosen of all bottles, after asking.
func (a *App) cleanup(ctx context.Context, home *store.Home, r removal, yes bool, all int) error {
	if r.count() == 0 {
		if all > 0 {
			a.say("nothing to clean up; bot-bottle list shows %d running or kept", all)
		} else {
			a.say("nothing to clean up")
		}
		return nil
	}
	r.show(a.Out)
	if !yes {
		ok, err := ask(ctx, fmt.Sprintf("remove these %d?", r.count()))
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.Canceled, "nothing removed")
		}
	}
	var ids, kept []instance.ID
	for _, s := range r.bottles {
		if s.Preserved && !r.whole {
			kept = append(kept, s.ID)
		} else {
			ids = append(ids, s.ID)
		}
	}
	var errs []error
	for _, dir := range r.unfinished {
		errs = append(errs, home.RemoveUnfinished(dir))
	}
	for _, d := range a.Drivers(home) {
		if len(ids) > 0 {
			errs = append(errs, a.deps(home, d).Remove(ctx, ids))
		}
		if len(kept) > 0 {
			errs = append(errs, a.deps(home, d).Tidy(ctx, kept))
		}
	}
	for _, s := range r.surplus { // what the bottles used
		errs = append(errs, s.of.Discard(ctx, s.items))
	}
	if err := errors.Join(errs...); err != nil {
		return fault.New(fault.Partial, "cannot remove everything: %w", err)
	}
	return nil
}
