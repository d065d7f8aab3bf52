package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	inquiry "github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/operator/inbox"
)

const proposalCodes = "\n\nExit codes: 0 ok; 2 usage; 10 no such proposal; 11 it is decided already, or its time is over;\n" +
	"12 it is not what was seen any more, or must not be approved; 13 its bottle does not run."

func (a *App) proposalsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "proposals", Short: "List, show, approve and reject what agents ask for",
		Long: "proposals is the operator's inbox for scripts: everything that the agents of all bottles ask for,\n" +
			"and what was decided." + proposalCodes,
		Example: "  bot-bottle proposals list --open\n  bot-bottle proposals show claude-x7k2p/1\n" +
			"  bot-bottle proposals approve claude-x7k2p/1 --scope run\n  bot-bottle proposals reject claude-x7k2p/1 --reason 'use the mirror'",
		Args: unknownCommand, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.proposalsListCommand(), a.proposalsShowCommand(), a.proposalsApproveCommand(), a.proposalsRejectCommand())
	return c
}

func (a *App) proposalsListCommand() *cobra.Command {
	var asJSON, onlyOpen bool
	c := &cobra.Command{
		Use: "list", Short: "List what agents ask for, over all bottles",
		Long:    "list shows every proposal, open ones first." + proposalCodes,
		Example: "  bot-bottle proposals list\n  bot-bottle proposals list --open --json | jq -r '.[].id'",
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			box, err := a.inbox()
			if err != nil {
				return err
			}
			all, err := box.All(c.Context())
			if onlyOpen {
				all = slices.DeleteFunc(all, func(p inquiry.Proposal) bool { return !p.State.Open() })
			}
			if asJSON {
				if all == nil {
					all = []inquiry.Proposal{}
				}
				return errors.Join(a.json(all), err)
			}
			return errors.Join(a.proposalTable(all), err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	c.Flags().BoolVar(&onlyOpen, "open", false, "only what waits for an answer")
	return c
}

func (a *App) proposalTable(all []inquiry.Proposal) error {
	if len(all) == 0 {
		a.say("nobody asks for anything")
		return nil
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tSTATE\tKIND\tASKED\tWHAT") // errors show at Flush
	for _, p := range all {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.ID, p.State, p.Kind, ago(time.Since(p.AskedAt)), inbox.Summary(p))
	}
	return w.Flush()
}

func (a *App) proposalsShowCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show <id>", Short: "Show one proposal and what its approval would change",
		Long: "show prints what was asked, the exact difference that an approval would make, and, marked as\n" +
			"such, what the agent says. Its last line is what approve --seen wants." + proposalCodes,
		Example: "  bot-bottle proposals show claude-x7k2p/1", Args: exactly("<id>"),
		RunE: func(c *cobra.Command, args []string) error {
			box, err := a.inbox()
			if err != nil {
				return err
			}
			p, err := box.Find(c.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(p)
			}
			_, err = fmt.Fprint(a.Out, inbox.TextWithFile(p, time.Now(), a.fileChange(box, p)))
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return c
}

// fileChange is what an approval for always would change in the bottle's file, or why it cannot; ""
// where that is not offered.
func (a *App) fileChange(box inbox.Box, p inquiry.Proposal) string {
	if !p.State.Open() || !slices.Contains(p.Scopes, inquiry.Always) {
		return ""
	}
	filing, err := a.filing(box, p, nil)
	if err != nil {
		return inbox.Safe(err.Error(), 1<<10)
	}
	return filing.Text()
}

// decisionFlags are what approve and reject share.
type decisionFlags struct {
	scope, reason, seen string
	edit, yes, asJSON   bool
}

func (a *App) proposalsApproveCommand() *cobra.Command {
	var f decisionFlags
	c := &cobra.Command{
		Use: "approve <id>", Short: "Approve exactly what was shown",
		Long: "approve puts a proposal into force: once (what is held now), for this run, or always, which also\n" +
			"adds it to the bottle's file, every line of which stays. On a terminal it shows what will happen and\n" +
			"asks. Without one it wants --seen with the digest that show printed, so that nothing else is approved\n" +
			"than what was looked at." + proposalCodes,
		Example: "  bot-bottle proposals approve claude-x7k2p/1\n  bot-bottle proposals approve claude-x7k2p/1 --scope always --edit\n" +
			"  bot-bottle proposals approve claude-x7k2p/1 --scope run --seen 3fa1c2d4e5f6",
		Args: exactly("<id>"),
		RunE: func(c *cobra.Command, args []string) error { return a.approve(c.Context(), c, f, args[0]) },
	}
	c.Flags().StringVar(&f.scope, "scope", "", "`once|run|always`; default: the narrowest that is offered")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask; needs --seen where there is no terminal")
	c.Flags().BoolVar(&f.edit, "edit", false, "open what would be put into force in $EDITOR first")
	f.add(c)
	return c
}

func (a *App) proposalsRejectCommand() *cobra.Command {
	var f decisionFlags
	c := &cobra.Command{
		Use: "reject <id>", Short: "Reject a proposal, with a reason that the agent reads",
		Long: "reject refuses what is held, without asking again. The agent reads the reason. With --seen it refuses only\n" +
			"what was looked at." + proposalCodes,
		Example: "  bot-bottle proposals reject claude-x7k2p/1 --reason 'the mirror is mirror.example.org'", Args: exactly("<id>"),
		RunE: func(c *cobra.Command, args []string) error {
			box, err := a.inbox()
			if err != nil {
				return err
			}
			p, err := f.find(c.Context(), box, args[0])
			if err != nil {
				return err
			}
			decided, err := box.Decide(c.Context(), inquiry.Decision{ID: p.ID, Digest: p.Digest, Verdict: inquiry.Rejected, Reason: f.reason})
			if err != nil {
				return err
			}
			return a.said(f, decided)
		},
	}
	f.add(c)
	return c
}

func (f *decisionFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.reason, "reason", "", "`TEXT` for the agent to read")
	c.Flags().StringVar(&f.seen, "seen", "", "the `DIGEST` that show printed, or its first 12 letters")
	c.Flags().BoolVar(&f.asJSON, "json", false, "for programs")
}

// find returns the proposal, and where --seen is given only if it still is what was seen.
func (f *decisionFlags) find(ctx context.Context, box inbox.Box, id string) (inquiry.Proposal, error) {
	p, err := box.Find(ctx, id)
	if err == nil && p.State.Open() && f.seen != "" && (len(f.seen) < 12 || !strings.HasPrefix(p.Digest, f.seen)) {
		err = fault.WithHint(fault.New(fault.Denied, "cannot decide %s: it is not what was seen", id), "look again: bot-bottle proposals show %s", id)
	}
	return p, err
}

func (a *App) said(f decisionFlags, p inquiry.Proposal) error {
	if f.asJSON {
		return a.json(p)
	}
	_, err := fmt.Fprintf(a.Out, "%s is %s\n", p.ID, p.State)
	return err
}

func (a *App) approve(ctx context.Context, c *cobra.Command, f decisionFlags, id string) error {
	box, err := a.inbox()
	if err != nil {
		return err
	}
	p, err := f.find(ctx, box, id)
	if err != nil {
		return err
	}
	if p.Answer != nil && p.Answer.Scope == inquiry.Always && f.scope == string(inquiry.Always) {
		return a.fileAgain(ctx, box, f, p) // it was approved, and perhaps not written down
	}
	if !p.State.Open() {
		return fault.New(fault.Exists, "cannot decide %s: it is %s already", p.ID, p.State)
	}
	d, err := a.decision(ctx, c, f, p)
	if err != nil {
		return err
	}
	var filing *inbox.Filing
	if d.Scope == inquiry.Always {
		if filing, err = a.filing(box, p, d.Candidate); err != nil {
			return err
		}
	}
	if err := a.consentTo(ctx, c, f, p, d, filing); err != nil {
		return err
	}
	decided, err := box.Decide(ctx, d)
	if err != nil {
		return err
	}
	if filing != nil {
		if err := box.File(ctx, decided, filing); err != nil {
			return err
		}
		if !f.asJSON {
			a.say("%s", filing.Text())
		}
	}
	return a.said(f, decided)
}

// decision is the approval that the flags ask for, with the edited candidate where there is one.
func (a *App) decision(ctx context.Context, c *cobra.Command, f decisionFlags, p inquiry.Proposal) (inquiry.Decision, error) {
	d := inquiry.Decision{ID: p.ID, Digest: p.Digest, Verdict: inquiry.Approved, Scope: inquiry.Scope(f.scope), Reason: f.reason}
	if d.Scope == "" {
		d.Scope = p.Scopes[0]
	}
	if !slices.Contains(p.Scopes, d.Scope) {
		return d, usage(c, "cannot approve %s for %q: it can be approved for %q", p.ID, d.Scope, p.Scopes)
	}
	if !f.edit {
		return d, nil
	}
	edited, err := a.editCandidate(ctx, p)
	if err == nil && string(edited) != string(p.Candidate) {
		d.Candidate = edited
	}
	return d, err
}

// consentTo shows what will happen and asks, where there is somebody who can be asked.
func (a *App) consentTo(ctx context.Context, c *cobra.Command, f decisionFlags, p inquiry.Proposal, d inquiry.Decision, filing *inbox.Filing) error {
	if f.yes && f.seen != "" {
		return nil
	}
	if !hasTerminal() {
		if f.seen != "" {
			return nil
		}
		return fault.WithHint(usage(c, "cannot approve %s: there is no terminal to show it on", p.ID),
			"look with bot-bottle proposals show %s, and approve with --seen DIGEST", p.ID)
	}
	_, _ = fmt.Fprint(a.Err, inbox.Text(p, time.Now()))
	if len(d.Candidate) > 0 {
		a.say("as you edited it: %s", inbox.Safe(string(d.Candidate), 4<<10))
	}
	if filing != nil {
		a.say("%s", filing.Text())
	}
	if f.yes {
		return nil
	}
	ok, err := ask(ctx, fmt.Sprintf("approve it (%s)?", d.Scope))
	if err == nil && !ok {
		err = fault.New(fault.Canceled, "not approved; it is still open")
	}
	return err
}

func (a *App) fileAgain(ctx context.Context, box inbox.Box, f decisionFlags, p inquiry.Proposal) error {
	filing, err := a.filing(box, p, p.Answer.Candidate)
	if err != nil {
		return err
	}
	if err := box.File(ctx, p, filing); err != nil {
		return err
	}
	if !f.asJSON {
		a.say("%s", filing.Text())
	}
	return a.said(f, p)
}

// filing is the change of the bottle's file that an approval for always makes.
func (a *App) filing(box inbox.Box, p inquiry.Proposal, edited json.RawMessage) (*inbox.Filing, error) {
	lib, _, err := a.library(box.Home)
	if err != nil {
		return nil, err
	}
	candidate := p.Candidate
	if len(edited) > 0 {
		candidate = edited
	}
	return box.Filing(lib, p, candidate)
}

func (a *App) inbox() (inbox.Box, error) {
	home, err := a.home()
	return inbox.Box{Home: home}, err
}
