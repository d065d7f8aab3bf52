package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/pull"
)

// shownAtMost bounds the files that are listed one by one.
const shownAtMost = 30

func (a *App) pullCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "pull <identity>",
		Short: "Bring an agent's work into this repository, as branches",
		Long: "pull takes the branches of the agent's copy, and what it has not committed, and makes them branches\n" +
			"bottle/<identity>/… of the repository in the current directory. Nothing is checked out, and nothing that the\n" +
			"agent could have configured runs: objects are copied, hashed and checked before git uses them. Files that\n" +
			"something on the host would run or obey later are listed apart: look at those first.\n\n" +
			"Exit codes: 0 ok, also when there is nothing new; 10 no such bottle, or no repository; 12 what the agent left is malformed.",
		Example: "  bot-bottle diff claude-x7k2p\n  bot-bottle pull claude-x7k2p\n  git switch bottle/claude-x7k2p/main",
		Args:    exactly("<identity>"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withWork(c, args[0], func(ctx context.Context, w *pull.Work) error {
				if !w.Empty() {
					if err := w.Fetch(ctx); err != nil {
						return err
					}
				}
				if asJSON {
					return a.json(w)
				}
				a.tellWork(w, "pulled")
				for _, b := range w.Branches {
					_, _ = fmt.Fprintln(a.Out, b.Name)
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs: the branches, their commits and the files listed apart")
	return c
}

func (a *App) diffCommand() *cobra.Command {
	var stat, asJSON bool
	c := &cobra.Command{
		Use:   "diff <identity>",
		Short: "Show what pull would bring into this repository",
		Long: "diff shows what the agent did in its copy of the repository in the current directory, and changes nothing.\n" +
			"On a terminal the agent's control characters are shown, not obeyed; into a pipe the patch goes as it is.\n\n" +
			"Exit codes: 0 ok, also when there is nothing new; 10 no such bottle, or no repository; 12 what the agent left is malformed.",
		Example: "  bot-bottle diff claude-x7k2p --stat\n  bot-bottle diff claude-x7k2p >work.patch",
		Args:    exactly("<identity>"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withWork(c, args[0], func(ctx context.Context, w *pull.Work) error {
				if asJSON {
					return a.json(w)
				}
				a.tellWork(w, "would be pulled")
				for _, b := range w.Branches {
					patch, err := w.Diff(ctx, b, stat)
					if err != nil {
						return err
					}
					if _, err := a.Out.Write(a.presentable(patch)); err != nil {
						return fmt.Errorf("cannot write the patch: %w", err)
					}
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&stat, "stat", false, "only which files, and how much of each")
	c.Flags().BoolVar(&asJSON, "json", false, "for programs: the branches, their commits and the files listed apart")
	c.MarkFlagsMutuallyExclusive("stat", "json")
	return c
}

// withWork takes the work of a run into a quarantine for as long as do needs it.
func (a *App) withWork(c *cobra.Command, name string, do func(context.Context, *pull.Work) error) (err error) {
	ctx, stop := interruptible(c.Context())
	defer stop()
	id, err := identity(c, name)
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
	here, err := os.Getwd()
	if err != nil {
		return fault.New(fault.NotFound, "cannot find the current directory: %w", err)
	}
	workspace := filepath.Join(run.Paths().Home, filepath.Base(plan.Workspace))
	w, err := pull.Take(ctx, id, workspace, here, run.Dir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if record, rerr := run.ReadRecord(); rerr == nil && record.Cwd != "" && record.Cwd != here {
		a.say("note: the agent worked on a copy of %s", audit.Escape(record.Cwd, 300))
	}
	return do(ctx, w)
}

// tellWork says what there is. Names, subjects and authors are the agent's own words.
func (a *App) tellWork(w *pull.Work, verb string) {
	if w.Empty() {
		a.say("nothing that this repository does not have")
	}
	for _, b := range w.Branches {
		what := fmt.Sprintf("%d commits", len(b.Commits)+b.More)
		if b.Worktree {
			what = "what is not committed"
		}
		a.say("%s %s: %s", audit.Escape(b.Name, 200), verb, what)
		for _, commit := range b.Commits {
			a.say("  %.10s  %s  (%s)", commit.ID, audit.Escape(commit.Subject, 100), audit.Escape(commit.Author, 40))
		}
		if b.More > 0 {
			a.say("  and %d more", b.More)
		}
		if len(b.Later) > 0 {
			a.say("  look at these first, something here may run or obey them:")
		}
		for i, l := range b.Later {
			if i == shownAtMost {
				a.say("    and %d more; --json has all", len(b.Later)-i)
				break
			}
			a.say("    %s  (%s)", audit.Escape(l.Path, 200), l.Why)
		}
	}
	for i, what := range w.Left {
		if i == shownAtMost {
			a.say("not taken: %d more", len(w.Left)-i)
			break
		}
		a.say("not taken: %s", audit.Escape(what, 200))
	}
}

// presentable is a text of the agent's as the one who reads it can stand it: a terminal obeys no
// byte of it.
func (a *App) presentable(text []byte) []byte {
	if !isTerminal(a.Out) {
		return text
	}
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		parts := strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
		for i, p := range parts {
			parts[i] = audit.Escape(p, 4096)
		}
		out.WriteString(strings.Join(parts, "\t") + "\n")
	}
	return out.Bytes()
}
