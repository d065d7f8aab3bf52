package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/harness"
)

// finding is a backend or a provider as doctor sees it.
type finding struct {
	Kind         string                `json:"kind"` // "backend", "git gate" or "provider"
	Name         string                `json:"name"`
	Works        bool                  `json:"works"`
	Path         string                `json:"path,omitempty"` // of a provider's program, or of the gate's git
	Where        string                `json:"where,omitempty"`
	Fix          string                `json:"fix,omitempty"`
	Capabilities *backend.Capabilities `json:"capabilities,omitempty"`
}

func (a *App) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "doctor", Short: "Tell what this machine can do, and what to install",
		Long:    "doctor probes each backend, says where its git gate would run, and looks for each provider's program. It changes nothing.\n\nExit codes: 0 a backend works; 13 none does.",
		Example: "  bot-bottle doctor\n  bot-bottle doctor --json", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := a.home()
			if err != nil {
				return err
			}
			var found []finding
			if _, err := readSettings(home); err != nil {
				a.present(err)
			}
			works := false
			for _, d := range a.Drivers(home) {
				caps, err := d.Probe(c.Context())
				if err != nil {
					return err
				}
				works = works || caps.Works
				found = append(found, finding{Kind: "backend", Name: d.Name(), Works: caps.Works, Capabilities: &caps})
			}
			found = append(found, a.gates(found)...)
			for _, p := range a.providers(home) {
				found = append(found, a.examine(p, home.Cache()))
			}
			if err := a.diagnose(found, asJSON); err != nil {
				return err
			}
			if !works {
				return fault.New(fault.Unavailable, "no backend works on this machine")
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return c
}

// gates says where the git gate of each backend that works would run.
func (a *App) gates(backends []finding) []finding {
	var found []finding
	for _, b := range backends {
		f := finding{Kind: "git gate", Name: b.Name}
		switch {
		case !b.Works:
			continue
		case slices.Contains(b.Capabilities.Features, backend.FeatureGate) && a.env("BOT_BOTTLE_GIT_GATE") == "":
			f.Works, f.Where = true, "in a container of its own, from an image with git that is made when it is first needed"
			if ref := a.env("BOT_BOTTLE_GIT_IMAGE"); ref != "" {
				f.Where = "in a container of its own, with the git of " + ref
			}
		case !runsGate:
			f.Fix = "it needs Linux, or the docker backend without BOT_BOTTLE_GIT_GATE"
		case hostGit() == "":
			f.Fix = "install git"
		default:
			f.Works, f.Path, f.Where = true, hostGit(), "a process on this host, with "+hostGit()
		}
		found = append(found, f)
	}
	return found
}

func (a *App) examine(p provider.Provider, cache string) finding {
	f := finding{Kind: "provider", Name: p.Name()}
	spec, err := p.Spec(provider.Request{Settings: provider.Settings{AuthToken: "TOKEN"}})
	if err != nil { // a plugin that does not work keeps nothing else from being looked at
		f.Fix = err.Error()
		return f
	}
	prog, err := harness.Find(spec.Binary, a.env("PATH"), cache)
	switch {
	case errors.Is(err, harness.ErrMissing):
		f.Fix = "start --yes installs " + spec.Binary.NPM + " from npm into the cache"
		if spec.Binary.NPM == "" {
			f.Fix = "install " + spec.Binary.Command + ", so that it is in PATH"
		}
	case err != nil:
		f.Fix = fault.HintOf(err)
	default:
		f.Works, f.Path = true, prog.HostPath
	}
	return f
}

func (a *App) diagnose(found []finding, asJSON bool) error {
	if asJSON {
		return a.json(found)
	}
	mark := map[bool]string{true: "✓", false: "✗"}
	for _, f := range found {
		text := f.Path
		if f.Where != "" {
			text = f.Where
		}
		if f.Capabilities != nil {
			text = f.Capabilities.Isolation
		}
		if text == "" {
			text = f.Fix
		}
		if text == "" {
			text = "does not work here"
		}
		_, _ = fmt.Fprintf(a.Out, "%s %s %s: %s\n", mark[f.Works], f.Kind, f.Name, text)
		if f.Capabilities == nil {
			continue
		}
		for _, p := range f.Capabilities.Problems {
			weight := "weaker"
			if p.Required {
				weight = "missing"
			}
			_, _ = fmt.Fprintf(a.Out, "    %s: %s\n", weight, p.What)
			if p.Fix != "" {
				_, _ = fmt.Fprintf(a.Out, "      fix: %s\n", p.Fix)
			}
		}
	}
	return nil
}
