package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os/exec"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	inquiry "github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/operator/inbox"
	"github.com/bot-bottle/bot-bottle/internal/operator/tui"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

func (a *App) superviseCommand() *cobra.Command {
	var once, asJSON, quiet bool
	c := &cobra.Command{
		Use: "supervise", Aliases: []string{"inbox"}, Short: "Decide what agents ask for, and watch them",
		Long: "supervise is the operator's inbox on a terminal: the questions of all bottles with the exact change that\n" +
			"an approval would make, and what happens in each bottle as it happens. Bottles and questions appear by\n" +
			"themselves; ? shows the keys. Leaving it decides nothing, and it may be open as often as you like.\n\n" +
			"--once prints what there is and ends. --json prints one object a line, a new one whenever something has\n" +
			"changed; with --once a single one. bot-bottle proposals decides without a terminal.\n\n" +
			"Exit codes: 0 ok; 1 something could not be read; 2 usage, or there is no terminal.",
		Example: "  bot-bottle supervise\n  bot-bottle supervise --once\n  bot-bottle supervise --json | jq -c '.questions[] | select(.state == \"pending\")'",
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			box, err := a.inbox()
			if err != nil {
				return err
			}
			w := view.Watcher{Home: box.Home, Reach: box.Connect}
			switch {
			case once:
				return a.inboxOnce(ctx, w, asJSON)
			case asJSON:
				return a.inboxLines(ctx, w)
			case !isTerminal(a.In) || !isTerminal(a.Out):
				return fault.WithHint(usage(c, "there is no terminal to show the inbox on"), "bot-bottle supervise --once prints it")
			}
			return a.supervise(ctx, box, w, !quiet)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "print what there is, and end")
	c.Flags().BoolVar(&asJSON, "json", false, "for programs: one JSON object a line, at each change")
	c.Flags().BoolVar(&quiet, "quiet", false, "no bell and no notification for new questions")
	return c
}

func (a *App) supervise(ctx context.Context, box inbox.Box, w view.Watcher, ring bool) error {
	return tui.Run(ctx, tui.Config{
		Watch: w.Run,
		Traffic: func(ctx context.Context, id instance.ID) iter.Seq2[audit.Event, error] {
			return audit.Recent(ctx, box.Home.Run(id).Paths().Audit, audit.Filter{})
		},
		Desk:   desk{a, box},
		Editor: func(file string) *exec.Cmd { return a.editorCommand(ctx, file) },
		In:     a.In, Out: a.Out, Env: a.Environ(), Ring: ring, Now: a.Clock,
	})
}

// desk decides for the terminal's inbox.
type desk struct {
	app *App
	box inbox.Box
}

// Decide implements tui.Desk.
func (d desk) Decide(ctx context.Context, by inquiry.Decision) (inquiry.Proposal, error) {
	return d.box.Decide(ctx, by)
}

// Effect implements tui.Desk.
func (d desk) Effect(ctx context.Context, q view.Question, candidate json.RawMessage) ([]inquiry.Fact, error) {
	return d.box.Effect(ctx, q.Proposal, candidate)
}

// Preview implements tui.Desk.
func (d desk) Preview(_ context.Context, q view.Question, candidate json.RawMessage) (tui.Change, error) {
	filing, err := d.app.filing(d.box, q.Proposal, candidate)
	if err != nil {
		return tui.Change{}, err
	}
	change := tui.Change{Make: func(ctx context.Context, p inquiry.Proposal) error { return d.box.File(ctx, p, filing) }}
	if e := filing.Edit; e != nil {
		change.Path, change.Diff = d.app.tilde(e.File), inbox.Diff(e.Before, e.After)
		if len(e.Others) > 0 {
			change.Notes = []string{fmt.Sprintf("these bottles extend %s and get it too: %s", e.Bottle, strings.Join(e.Others, ", "))}
		}
	}
	return change, nil
}

// tilde shortens a path below the person's own home.
func (a *App) tilde(path string) string {
	if home := a.env("HOME"); home != "" {
		if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(home, "/")+"/"); ok {
			return "~/" + rest
		}
	}
	return path
}

// inboxOnce prints the inbox as it is now.
func (a *App) inboxOnce(ctx context.Context, w view.Watcher, asJSON bool) error {
	all, err := w.Once(ctx)
	if asJSON {
		return errors.Join(a.jsonLine(all), err)
	}
	open := 0
	for _, q := range all.Questions {
		if !q.State.Open() {
			continue
		}
		if open++; open > 1 {
			_, _ = fmt.Fprintln(a.Out) // an error shows at the next
		}
		text := inbox.Text(q.Proposal, time.Now())
		if q.Source != view.FromSidecar {
			text += "its sidecar does not answer: this is what it left, and it waits for bot-bottle resume " + string(q.Bottle) + "\n"
		}
		if _, perr := fmt.Fprint(a.Out, text); perr != nil {
			return errors.Join(perr, err)
		}
	}
	running := 0
	for _, b := range all.Bottles {
		if b.Running {
			running++
		}
	}
	a.say("%d open, %d bottles running", open, running)
	return err
}

// inboxLines prints the inbox whenever it has changed, until Ctrl-C or until nobody reads.
func (a *App) inboxLines(ctx context.Context, w view.Watcher) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var last view.Inbox
	first := true
	w.Run(ctx, func(all view.Inbox, err error) {
		if err != nil {
			a.say("cannot read all of the inbox: %v", err)
		}
		if !first && reflect.DeepEqual(all, last) {
			return
		}
		first, last = false, all
		if err := a.jsonLine(all); err != nil {
			cancel(err)
		}
	})
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (a *App) jsonLine(all view.Inbox) error {
	if all.Bottles == nil {
		all.Bottles = []view.Bottle{}
	}
	if all.Questions == nil {
		all.Questions = []view.Question{}
	}
	enc := json.NewEncoder(a.Out)
	enc.SetEscapeHTML(false)
	return enc.Encode(all)
}
