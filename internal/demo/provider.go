package demo

import (
	"encoding/json"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// Command is what the adversary's program is called.
const Command = "bot-bottle-adversary"

// Provider runs the adversary in the place of an agent.
type Provider struct{ Targets Targets }

// Name implements provider.Provider.
func (Provider) Name() string { return "demo" }

// Spec implements provider.Provider.
func (p Provider) Spec(provider.Request) (provider.Spec, error) {
	targets, err := json.Marshal(p.Targets)
	if err != nil {
		return provider.Spec{}, fault.New(fault.Internal, "cannot encode the targets: %w", err)
	}
	return provider.Spec{Binary: provider.Binary{Command: Command}, Args: []string{"adversary", string(targets)}}, nil
}
