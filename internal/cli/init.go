package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func (a *App) initCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "init [name]", Short: "Make a first bottle and agent by asking",
		Long:    "init asks a few questions and writes a bottle and an agent of one name. It never overwrites a file.\n\nExit codes: 0 written; 1 an answer does not work; 11 a file exists; 130 given up.",
		Example: "  bot-bottle init\n  bot-bottle init reviewer --yes",
		Args:    atMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			home, err := a.home()
			if err != nil {
				return err
			}
			name := "dev"
			if len(args) == 1 {
				name = args[0]
			}
			if err := usableName(name); err != nil {
				return err
			}
			bottle := manifest.BottleDraft{Name: name, Template: "claude", Workspace: manifest.WorkspaceCopy}
			agent := manifest.AgentDraft{Name: name, Bottle: name, Prompt: "You work in a sandbox. What it refuses, do without, or ask for."}
			if !yes {
				if !hasTerminal() {
					return fault.WithHint(usage(c, "there is no terminal to ask on"), "add --yes to take the defaults, and change them with bot-bottle edit")
				}
				if err := interview(ctx, &bottle, &agent); err != nil {
					return err
				}
			}
			return a.create(home, bottle, agent)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "take the defaults")
	return c
}

// interview asks for what a draft needs; an empty answer takes the default.
func interview(ctx context.Context, b *manifest.BottleDraft, g *manifest.AgentDraft) error {
	questions := []struct {
		text string
		take func(string)
		have string
	}{
		{"Name of the bottle and the agent", func(s string) { b.Name, g.Name, g.Bottle = s, s, s }, b.Name},
		{"Host variable that holds the Claude token", func(s string) { b.AuthToken = s }, "BOT_BOTTLE_CLAUDE_OAUTH_TOKEN"},
		{"Hosts it may reach, separated by spaces", func(s string) { b.Hosts = strings.Fields(s) }, ""},
		{"Bring a copy of the current directory in (copy, none)", func(s string) { b.Workspace = manifest.Workspace(s) }, string(b.Workspace)},
		{"Name on its commits", func(s string) { b.GitName = s }, ""},
		{"Email on its commits", func(s string) { b.GitEmail = s }, ""},
		{"System prompt, one line", func(s string) { g.Prompt = s }, g.Prompt},
	}
	for _, q := range questions {
		prompt := q.text
		if q.have != "" {
			prompt += " [" + q.have + "]"
		}
		answer, err := onTerminal(ctx, prompt+": ", readLine)
		if err != nil {
			return err
		}
		if answer = strings.TrimSpace(answer); answer == "" {
			answer = q.have
		}
		q.take(answer)
	}
	return nil
}

// create checks both texts before it writes either.
func (a *App) create(home *store.Home, bottle manifest.BottleDraft, agent manifest.AgentDraft) error {
	if err := usableName(bottle.Name); err != nil {
		return err
	}
	files := []struct{ path, text string }{
		{filepath.Join(home.Bottles(), bottle.Name+".md"), bottle.Text()},
		{filepath.Join(home.Agents(), agent.Name+".md"), agent.Text()},
	}
	for _, f := range files {
		if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
			return fault.WithHint(fault.New(fault.Exists, "%s exists", f.path), "change it with bot-bottle edit %s, or choose another name", bottle.Name)
		}
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
			return fault.WithHint(fault.New(fault.Internal, "cannot write %s: %w", f.path, err), "make %s writable, or set BOT_BOTTLE_HOME", home.Root())
		}
	}
	written := []string{}
	undo := func() {
		for _, w := range written {
			_ = os.Remove(w) // best effort on a path that already failed
		}
	}
	for _, f := range files {
		if err := writeNew(f.path, f.text); err != nil {
			undo()
			return err
		}
		written = append(written, f.path)
	}
	lib, _, err := a.library(home)
	if err == nil {
		_, err = lib.Select(agent.Name)
	}
	if err != nil {
		undo()
		return err
	}
	a.say("wrote %s\nwrote %s\nstart it with: bot-bottle start %s", files[0].path, files[1].path, agent.Name)
	return nil
}

func usableName(name string) error {
	if instance.ValidName(name) {
		return nil
	}
	return fault.WithHint(fault.New(fault.Invalid, "cannot use the name %q", name), "names are lower-case letters, digits and dashes, and start with a letter")
}

func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.New(fault.Internal, "cannot write %s: %w", path, err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
		return fault.New(fault.Internal, "cannot write %s: %w", path, err)
	}
	return nil
}
