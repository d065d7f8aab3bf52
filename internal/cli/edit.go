package cli

import (
	"context"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func (a *App) editCommand() *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use: "edit <name>", Short: "Open a bottle or an agent in $EDITOR and check it on save",
		Long: "edit opens the bottle of that name, else the agent; --kind says which. What was saved is checked at once.\n\n" +
			"Exit codes: 0 saved and good; 1 saved and wrong; 10 no such manifest; 12 it is not yours to edit.",
		Example: "  bot-bottle edit dev\n  bot-bottle edit dev --kind agent", Args: exactly("<name>"),
		RunE: func(c *cobra.Command, args []string) error {
			home, err := a.home()
			if err != nil {
				return err
			}
			return a.edit(c.Context(), c, home, args[0], kind)
		},
	}
	c.Flags().StringVar(&kind, "kind", "", "`bottle|agent`: which of the two")
	return c
}

func (a *App) edit(ctx context.Context, c *cobra.Command, home *store.Home, name, kind string) error {
	lib, _, err := a.library(home)
	if err != nil {
		return err
	}
	entry, err := editable(c, lib, name, kind)
	if err != nil {
		return err
	}
	if entry.Source != manifest.FromHome {
		return fault.WithHint(fault.New(fault.Denied, "%s %q is not yours to edit: it comes from %s", entry.Kind, name, entry.Source),
			"bot-bottle init %s makes your own of that name", name)
	}
	for {
		if err := a.editor(ctx, entry.File); err != nil {
			return err
		}
		fresh, _, err := a.library(home)
		if err != nil {
			return err
		}
		problems, warnings := fresh.CheckFile(entry.Kind, entry.File)
		err = a.verdict(problems, warnings, 1, false)
		if err == nil || !hasTerminal() {
			return err
		}
		again, aerr := ask(ctx, "edit it again?")
		if aerr != nil {
			return aerr
		}
		if !again {
			return err
		}
	}
}

// editable finds the manifest: the one of the kind, or with no kind the bottle, then the agent.
func editable(c *cobra.Command, lib *manifest.Library, name, kind string) (manifest.Entry, error) {
	switch kind {
	case "":
		if e, err := lib.Entry(manifest.KindBottle, name); err == nil {
			return e, nil
		}
		e, err := lib.Entry(manifest.KindAgent, name)
		if err != nil {
			_, other := lib.Entry(manifest.KindBottle, name)
			return e, fault.WithHint(fault.New(fault.NotFound, "cannot find a bottle or an agent %q", name), "%s; %s",
				fault.HintOf(other), fault.HintOf(err))
		}
		return e, nil
	case string(manifest.KindBottle), string(manifest.KindAgent):
		return lib.Entry(manifest.Kind(kind), name)
	}
	return manifest.Entry{}, usage(c, "there is no kind %q: want bottle or agent", kind)
}

// editor runs the operator's own editor on the operator's own file.
func (a *App) editor(ctx context.Context, file string) error {
	cmd := a.editorCommand(ctx, file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fault.WithHint(fault.New(fault.Internal, "cannot edit %s with %s: %w", file, cmd.Args[0], err), "set EDITOR to a program that is installed")
	}
	return nil
}

func (a *App) editorCommand(ctx context.Context, file string) *exec.Cmd {
	words := strings.Fields(a.env("VISUAL"))
	if len(words) == 0 {
		words = strings.Fields(a.env("EDITOR"))
	}
	if len(words) == 0 {
		words = []string{"vi"}
	}
	return exec.CommandContext(ctx, words[0], append(words[1:], file)...)
}
