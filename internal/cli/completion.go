package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/manifest"
)

func (a *App) completionCommand() *cobra.Command {
	shells := []string{"bash", "fish", "zsh"}
	return &cobra.Command{
		Use: "completion bash|fish|zsh", Short: "Print the completion script of a shell",
		Long: "completion prints a script that completes commands, flags, agents, bottles and identities.\n\n" +
			"Exit codes: 0 ok; 2 usage.",
		Example: "  source <(bot-bottle completion bash)\n  bot-bottle completion fish > ~/.config/fish/completions/bot-bottle.fish\n" +
			"  bot-bottle completion zsh > \"${fpath[1]}/_bot-bottle\"",
		Args: exactly("bash, fish or zsh"), ValidArgs: shells,
		RunE: func(c *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return c.Root().GenBashCompletionV2(a.Out, true)
			case "fish":
				return c.Root().GenFishCompletion(a.Out, true)
			case "zsh":
				return c.Root().GenZshCompletion(a.Out)
			}
			return usage(c, "there is no completion for %q: want %s", args[0], strings.Join(shells, ", "))
		},
	}
}

// completes answers a shell: names for the first argument, or for each where many may follow.
// What cannot be read completes to nothing.
func completes(names func() []string, many bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(), cobra.ShellCompDirectiveNoFileComp
	}
}

// manifests are the names of a kind.
func (a *App) manifests(kind manifest.Kind) func() []string {
	return func() []string {
		home, err := a.home()
		if err != nil {
			return nil
		}
		lib, _, err := a.library(home)
		if err != nil {
			return nil
		}
		return lib.Names(kind)
	}
}

// ours are the manifests that edit can open.
func (a *App) ours() []string {
	home, err := a.home()
	if err != nil {
		return nil
	}
	lib, _, err := a.library(home)
	if err != nil {
		return nil
	}
	var names []string
	for _, kind := range []manifest.Kind{manifest.KindBottle, manifest.KindAgent} {
		for _, e := range lib.Entries(kind) {
			if e.Source == manifest.FromHome {
				names = append(names, e.Name)
			}
		}
	}
	return names
}

// identities are the names of runs: with running, those that run, else those that do not.
func (a *App) identities(running bool) func() []string {
	return func() []string {
		home, err := a.home()
		if err != nil {
			return nil
		}
		ids, err := home.Runs()
		if err != nil {
			return nil
		}
		var names []string
		for _, id := range ids {
			if home.Run(id).Running() == running {
				names = append(names, string(id))
			}
		}
		return names
	}
}

// everyRun are the names of all runs.
func (a *App) everyRun() []string { return append(a.identities(true)(), a.identities(false)()...) }

// backends are the names of the drivers.
func (a *App) backends() []string {
	home, err := a.home()
	if err != nil {
		return nil
	}
	var names []string
	for _, d := range a.Drivers(home) {
		names = append(names, d.Name())
	}
	return names
}

// complete puts the completions on the commands that take a name.
func (a *App) complete(root *cobra.Command) {
	words := map[string]cobra.CompletionFunc{
		"start": completes(a.manifests(manifest.KindAgent), false), "info": completes(a.manifests(manifest.KindAgent), false),
		"resume": completes(a.identities(false), false), "cleanup": completes(a.identities(false), true),
		"attach": completes(a.identities(true), false), "exec": completes(a.identities(true), false),
		"stop": completes(a.identities(true), true), "log": completes(a.everyRun, false), "commit": completes(a.everyRun, false), "rm": completes(a.identities(false), true), "diff": completes(a.everyRun, false), "pull": completes(a.everyRun, false), "routes": completes(a.identities(true), false), "stats": completes(a.identities(true), true), "edit": completes(a.ours, false),
	}
	flags := map[string]func() []string{
		"bottle": a.manifests(manifest.KindBottle), "backend": a.backends,
		"format": func() []string { return []string{"text", "json"} }, "kind": func() []string { return []string{"bottle", "agent"} },
		"verdict": func() []string { return []string{"allow", "deny"} },
	}
	for _, c := range root.Commands() {
		if f, ok := words[c.Name()]; ok {
			c.ValidArgsFunction = f
		}
		for name, names := range flags {
			if c.Flags().Lookup(name) == nil || c.Name() == "log" && name == "kind" {
				continue
			}
			_ = c.RegisterFlagCompletionFunc(name, completes(names, true)) // fails for an unknown flag only
		}
	}
}
