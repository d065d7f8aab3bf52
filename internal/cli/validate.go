package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/plugin"
)

func (a *App) validateCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate [path…]",
		Short: "Check manifests, and say everything that is wrong",
		Long: "validate checks the named files and folders, else every manifest of the home and of this directory.\n" +
			"Problems go to stdout as file:line:column: field: what is wrong; warnings to stderr.\n\nExit codes: 0 all good; 1 something is wrong; 2 usage.",
		Example: "  bot-bottle validate\n  bot-bottle validate .bot-bottle/agents/reviewer.md",
		RunE: func(_ *cobra.Command, args []string) error {
			home, err := a.home()
			if err != nil {
				return err
			}
			lib, _, err := a.library(home)
			if err != nil {
				return err
			}
			problems, warnings, checked, err := check(lib, args)
			if err != nil {
				return err
			}
			return a.verdict(problems, warnings, checked, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return c
}

func check(lib *manifest.Library, paths []string) ([]manifest.Problem, []manifest.Warning, int, error) {
	if len(paths) == 0 {
		problems, warnings := lib.ValidateAll()
		return problems, warnings, len(lib.Names(manifest.KindAgent)) + len(lib.Names(manifest.KindBottle)), nil
	}
	var files []string
	for _, p := range paths {
		found, err := manifestsBelow(p)
		if err != nil {
			return nil, nil, 0, err
		}
		files = append(files, found...)
	}
	var problems []manifest.Problem
	var warnings []manifest.Warning
	for _, file := range files {
		kind, err := manifest.KindOfFile(file)
		if err != nil {
			return nil, nil, 0, err
		}
		p, w := lib.CheckFile(kind, file)
		problems, warnings = append(problems, p...), append(warnings, w...)
	}
	return problems, warnings, len(files), nil
}

// reason is what the system said, without the name that the message has already.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// manifestsBelow is the file itself, or the Markdown files of bottles and agents folders below a
// directory.
func manifestsBelow(path string) ([]string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "cannot check %s: %w", path, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, fault.New(fault.NotFound, "cannot check %s: %w", path, reason(err))
	}
	if !info.IsDir() {
		return []string{abs}, nil
	}
	var files []string
	err = filepath.WalkDir(abs, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if _, kerr := manifest.KindOfFile(p); kerr == nil && !e.IsDir() && strings.HasSuffix(p, ".md") {
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		return nil, fault.New(fault.Invalid, "cannot check %s: %w", path, err)
	}
	if len(files) == 0 {
		return nil, fault.WithHint(fault.New(fault.NotFound, "there is no manifest below %s", path), "manifests are Markdown files in folders named bottles and agents")
	}
	return files, nil
}

func (a *App) verdict(problems []manifest.Problem, warnings []manifest.Warning, checked int, asJSON bool) error {
	if asJSON {
		if problems == nil {
			problems = []manifest.Problem{}
		}
		if warnings == nil {
			warnings = []manifest.Warning{}
		}
		if err := a.json(map[string]any{"problems": problems, "warnings": warnings, "checked": checked}); err != nil {
			return err
		}
	} else {
		for _, w := range warnings {
			a.say("warning: %s", w)
		}
		for _, p := range problems {
			if _, err := fmt.Fprintln(a.Out, p); err != nil {
				return err
			}
		}
	}
	if len(problems) > 0 {
		return exit{1}
	}
	if !asJSON {
		if checked == 1 {
			a.say("the manifest is good")
		} else {
			a.say("%d manifests are good", checked)
		}
	}
	return nil
}

func (a *App) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema [bottle|agent|provider]", Short: "Print the JSON Schema of a manifest kind or of a plugin, for editors",
		Example: "  bot-bottle schema bottle > bottle.schema.json",
		Long:    "schema prints one JSON Schema (draft 2020-12), or without a kind those of bottle and agent, as {\"bottle\": …, \"agent\": …}.\n\"provider\" are those of a plugin's request and reply.\n\nExit codes: 0 ok; 2 usage.",
		Args:    atMostOne, ValidArgs: []string{"bottle", "agent", "provider"},
		RunE: func(c *cobra.Command, args []string) error {
			bottle, agent := manifest.Schema()
			switch {
			case len(args) == 0:
				_, err := fmt.Fprintf(a.Out, "{\"bottle\": %s, \"agent\": %s}\n", bottle, agent)
				return err
			case args[0] == "bottle":
				_, err := fmt.Fprintf(a.Out, "%s\n", bottle)
				return err
			case args[0] == "provider":
				_, err := fmt.Fprint(a.Out, plugin.Schema())
				return err
			case args[0] == "agent":
				_, err := fmt.Fprintf(a.Out, "%s\n", agent)
				return err
			}
			return usage(c, "there is no kind %q: want bottle, agent or provider", args[0])
		},
	}
}
