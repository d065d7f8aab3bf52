package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
					if err := a.patch(ctx, w, b, stat); err != nil {
						return err
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

// patch writes what a branch changes. A terminal obeys no byte of it.
func (a *App) patch(ctx context.Context, w *pull.Work, b pull.Branch, stat bool) error {
	if !isTerminal(a.Out) {
		return w.Diff(ctx, b, stat, a.Out)
	}
	shown := &escaping{to: a.Out}
	return errors.Join(w.Diff(ctx, b, stat, shown), shown.flush())
}

// escaping shows what is written to it line by line, in pieces where a line has no end.
type escaping struct {
	to   io.Writer
	line []byte
}

const maxShownLine = 64 << 10

// Write implements io.Writer.
func (e *escaping) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			e.line = append(e.line, rest...)
			if len(e.line) > maxShownLine {
				return len(p), e.flush()
			}
			break
		}
		e.line = append(e.line, rest[:end]...)
		rest = rest[end+1:]
		if err := errors.Join(e.flush(), second(io.WriteString(e.to, "\n"))); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (e *escaping) flush() error {
	parts := strings.Split(string(e.line), "\t")
	for i, p := range parts {
		parts[i] = audit.Escape(p, 2*maxShownLine)
	}
	e.line = e.line[:0]
	return second(io.WriteString(e.to, strings.Join(parts, "\t")))
}

func second(_ int, err error) error { return err }
