package cli

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/external"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// newPlugin is what `provider new` writes: a plugin that works, and says what to change.
//
//go:embed newprovider.sh
var newPlugin string

func providersDir(home *store.Home) string { return filepath.Join(home.Root(), "providers") }

// providers are the plugins and then the built-in ones, without those that a plugin replaces.
func (a *App) providers(home *store.Home) []provider.Provider {
	var all []provider.Provider
	if a.Plugins != nil {
		all = a.Plugins(home)
	}
	for _, p := range a.Providers {
		if !slices.ContainsFunc(all, func(own provider.Provider) bool { return own.Name() == p.Name() }) {
			all = append(all, p)
		}
	}
	return all
}

func (a *App) providerCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "provider", Short: "Make and try a provider of your own",
		Long:    "A provider of your own is a program that says how an agent is run.\n\nExit codes: 0 ok; 1 it does not work; 2 usage; 10 there is none; 11 it exists.",
		Example: "  bot-bottle provider new aider\n  bot-bottle provider check aider",
		Args:    exactly(), RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{
			Use: "new NAME", Short: "Write a provider that works, to be changed", Args: exactly("NAME"),
			Long:    "new writes providers/NAME/provider into the home.\n\nExit codes: 0 ok; 2 usage; 11 it exists.",
			Example: "  bot-bottle provider new aider",
			RunE:    func(c *cobra.Command, args []string) error { return a.newProvider(c, args[0]) },
		},
		&cobra.Command{
			Use: "check NAME", Short: "Try a provider with every kind of run", Args: exactly("NAME"),
			Long:    "check asks the provider what each kind of run needs, and says what is wrong with the answers.\n\nExit codes: 0 all good; 1 something is wrong; 2 usage; 10 there is none.",
			Example: "  bot-bottle provider check aider",
			RunE:    func(_ *cobra.Command, args []string) error { return a.checkProvider(args[0]) },
		})
	return c
}

func (a *App) newProvider(c *cobra.Command, name string) error {
	if !external.ValidName(name) {
		return usage(c, "%q is no name of a provider: want a small letter, then small letters, digits and dashes", name)
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	dir := filepath.Join(providersDir(home), name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fault.New(fault.Internal, "cannot make a provider: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // what lies beside the plugin may be mounted into a bottle
		return fault.WithHint(fault.New(fault.Exists, "cannot make the provider %s: %w", name, err), "change what is there, or choose another name")
	}
	file := filepath.Join(dir, "provider")
	if err := os.WriteFile(file, []byte(newPlugin), 0o700); err != nil { //nolint:gosec // a program
		return fault.New(fault.Internal, "cannot make the provider %s: %w", name, err)
	}
	a.say("wrote %s; try it with: bot-bottle provider check %s", file, name)
	return nil
}

func (a *App) checkProvider(name string) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	all := a.providers(home)
	i := slices.IndexFunc(all, func(p provider.Provider) bool { return p.Name() == name })
	if i < 0 {
		return fault.WithHint(fault.New(fault.NotFound, "there is no provider %q", name), "bot-bottle provider new %s makes one in %s", name, providersDir(home))
	}
	wrong := 0
	for _, r := range kindsOfRun() {
		spec, err := all[i].Spec(r.request)
		if err != nil {
			wrong++
			if _, err := fmt.Fprintf(a.Out, "✗ %s: %v\n", r.name, err); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(a.Out, "✓ %s: %s\n", r.name, commandLine(spec)); err != nil {
			return err
		}
	}
	if wrong > 0 {
		return exit{1}
	}
	return nil
}

type kindOfRun struct {
	name    string
	request provider.Request
}

func kindsOfRun() []kindOfRun {
	base := provider.Request{
		Settings: provider.Settings{AuthToken: "TOKEN"}, Dir: plan.Workspace, Prompt: "Be brief.", PromptPath: plan.PromptPath,
	}
	headless, resume, args := base, base, base
	headless.Headless, headless.Task = true, "-do 'it' $now"
	resume.Resume = true
	args.Args = []string{"--model", "x y"}
	return []kindOfRun{{"on a terminal", base}, {"headless", headless}, {"a resume", resume}, {"with arguments", args}}
}

func commandLine(s provider.Spec) string {
	words := []string{s.Binary.Command}
	for _, word := range s.Args {
		words = append(words, fmt.Sprintf("%q", word))
	}
	return strings.Join(words, " ")
}
