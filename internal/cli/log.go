package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// logOptions are the flags of log.
type logOptions struct {
	filter         audit.Filter
	since, until   string
	follow, asJSON bool
	asHAR, verify  bool
	known          string
	suggest, exact bool
}

func (a *App) logCommand() *cobra.Command {
	var o logOptions
	c := &cobra.Command{
		Use:   "log <identity>",
		Short: "Show what went out of a bottle, what was refused, and why",
		Long: "log prints the audit log of a run, one event a line; values of secrets are never in it.\n\n" +
			"Each line is chained to the one before it by a hash, and the log of a run that is kept is sealed. --verify\n" +
			"finds a line that was changed, removed, moved or put in, and in a sealed log a missing end. Who can write\n" +
			"all files of the run could make both anew: note the hash that the end of a run prints, and give it to --head.\n\n" +
			"--suggest prints routes for what was refused because no route allows it. Read them before you use them: the agent\n" +
			"chose what it asked for. Addresses that are not public are never among them.\n\n" +
			"--since and --until take a duration before now (10m), a time of today (15:04) or a moment (2026-01-02T15:04:05Z).\n\n" +
			"Exit codes: 0 ok, also when Ctrl-C ends -f; 1 a line is damaged, or --verify found something; 3 --verify found\n" +
			"nothing, but the end is not sealed; 10 no such bottle.",
		Example: "  bot-bottle log claude-x7k2p\n  bot-bottle log claude-x7k2p -f --verdict deny\n" +
			"  bot-bottle log claude-x7k2p --host '*.example.org' --json\n  bot-bottle log claude-x7k2p --since 1h --har >requests.har\n" +
			"  bot-bottle log claude-x7k2p --verify\n  bot-bottle log claude-x7k2p --since 10m --suggest",
		Args: exactly("<identity>"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			if err := o.check(c, time.Now()); err != nil {
				return err
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
			if rec, err := run.ReadRecord(); err == nil && rec.Observe {
				a.say("this bottle only observed: what no route allows was recorded, and not refused")
			}
			if o.verify {
				return a.verify(ctx, run, o)
			}
			if o.suggest {
				return a.suggest(ctx, run, o)
			}
			return a.log(ctx, run, o)
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on as events come")
	f.BoolVar(&o.asJSON, "json", false, "for programs: one JSON object a line")
	f.BoolVar(&o.asHAR, "har", false, "the requests as an HTTP Archive, without bodies and values")
	f.StringSliceVar(&o.filter.Kinds, "kind", nil, "only these `KINDS`: "+strings.Join(audit.Kinds(), ", "))
	f.StringVar(&o.filter.Verdict, "verdict", "", "only allow or deny")
	f.StringVar(&o.filter.Host, "host", "", "only this `HOST`, or *.example.org")
	f.StringVar(&o.since, "since", "", "only from `WHEN` on, such as 10m or 15:04")
	f.StringVar(&o.until, "until", "", "only before `WHEN`")
	f.BoolVar(&o.verify, "verify", false, "prove that no line was changed, removed, moved or put in")
	f.StringVar(&o.known, "head", "", "with --verify: the `HASH` of a line that must be there, or its beginning")
	f.BoolVar(&o.suggest, "suggest", false, "the narrowest routes that would have allowed what was refused, as YAML to paste")
	f.BoolVar(&o.exact, "exact", false, "with --suggest: never a prefix in the place of several paths of one directory")
	c.MarkFlagsMutuallyExclusive("suggest", "json")
	c.MarkFlagsMutuallyExclusive("suggest", "har")
	c.MarkFlagsMutuallyExclusive("suggest", "follow")
	c.MarkFlagsMutuallyExclusive("suggest", "verify")
	c.MarkFlagsMutuallyExclusive("json", "har")
	c.MarkFlagsMutuallyExclusive("follow", "har")
	c.MarkFlagsMutuallyExclusive("follow", "verify")
	c.MarkFlagsMutuallyExclusive("har", "verify")
	return c
}

func (o *logOptions) check(c *cobra.Command, now time.Time) (err error) {
	if v := o.filter.Verdict; v != "" && v != "allow" && v != "deny" {
		return usage(c, "there is no verdict %q: want allow or deny", v)
	}
	for _, k := range o.filter.Kinds {
		if !slices.Contains(audit.Kinds(), k) {
			return usage(c, "there is no kind %q: want %s", k, strings.Join(audit.Kinds(), ", "))
		}
	}
	if o.filter.Since, err = moment(o.since, now); err != nil {
		return usage(c, "cannot use --since %s: %v", o.since, err)
	}
	if o.filter.Until, err = moment(o.until, now); err != nil {
		return usage(c, "cannot use --until %s: %v", o.until, err)
	}
	if o.exact && !o.suggest {
		return usage(c, "--exact goes with --suggest")
	}
	if o.known != "" && (!o.verify || len(o.known) < 8 || strings.Trim(strings.ToLower(o.known), "0123456789abcdef") != "") {
		return usage(c, "--head goes with --verify and wants at least 8 hexadecimal digits")
	}
	return nil
}

// moment reads a point in time: a duration before now, a time of today, a date or RFC 3339.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d.Abs()), nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("it is no duration (10m), no time (15:04) and no moment (2026-01-02T15:04:05Z)")
}

func (a *App) log(ctx context.Context, run *store.Run, o logOptions) error {
	var damaged []error
	whole := func(yield func(audit.Event, error) bool) {
		for e, err := range audit.Read(ctx, run.Paths().Audit, o.filter, o.follow) {
			if errors.Is(err, audit.ErrDamaged) {
				damaged = append(damaged, err)
			} else if !yield(e, err) {
				return
			}
		}
	}
	show := a.events
	if o.asHAR {
		show = func(events iter.Seq2[audit.Event, error], _ bool) error {
			return audit.WriteHAR(a.Out, a.Version, events)
		}
	}
	if err := show(whole, o.asJSON); err != nil {
		return fault.New(fault.Internal, "cannot show the log of %q: %w", run.ID, err)
	}
	return errors.Join(damaged...)
}

func (a *App) events(events iter.Seq2[audit.Event, error], asJSON bool) error {
	enc := json.NewEncoder(a.Out)
	for e, err := range events {
		if err == nil && asJSON {
			err = enc.Encode(e)
		} else if err == nil {
			_, err = fmt.Fprintln(a.Out, audit.Render(e, time.Local))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verify says what the chain of a log proves, and what it does not.
func (a *App) verify(ctx context.Context, run *store.Run, o logOptions) error {
	running := run.Running()
	proof, err := run.Proof()
	if err != nil {
		return err
	}
	proof.Known = o.known
	r, err := audit.Verify(ctx, run.Paths().Audit, proof)
	if err != nil {
		return err
	}
	if o.asJSON {
		err = a.json(r)
	} else {
		_, err = fmt.Fprintln(a.Out, strings.Join(proven(r, running), "\n"))
	}
	switch {
	case err != nil:
		return err
	case len(r.Breaks) > 0:
		return exit{1}
	case !r.Sealed && !running:
		return exit{3}
	}
	return nil
}

// proven is a report in words.
func proven(r audit.Report, running bool) []string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	for _, b := range r.Breaks {
		say("%s", b)
	}
	if len(r.Breaks) > 0 {
		say("the log does not hold: %d findings in %d lines", len(r.Breaks), r.Lines+r.Old)
		return said
	}
	say("the log holds: %d lines, none was changed, removed, moved or put in", r.Lines)
	if r.Old > 0 {
		say("%d lines before them have no hash, of an older version: they were not changed since the first that has one", r.Old)
	}
	if r.Torn > 0 {
		say("%d lines were broken off by a crash and are accounted for", r.Torn)
	}
	switch {
	case r.Sealed && r.Last.Reason != "":
		say("it is sealed: %s: %s", audit.Escape(r.Last.Message, 200), audit.Escape(r.Last.Reason, 200))
	case r.Sealed:
		say("it is sealed: nothing is missing at its end")
	case running:
		say("the bottle runs: its end is sealed when it settles")
	default:
		say("it is not sealed, because the run was cut short: whether something is missing at its end cannot be told")
	}
	if r.Cut {
		say("its last line is unfinished")
	}
	say("the last line is %s", r.Head.Hash)
	return said
}
