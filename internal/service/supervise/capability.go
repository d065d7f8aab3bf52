package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func (s *Server) capabilityText() string {
	const text = "Ask the operator for a program that this bottle lacks. After an approval the bottle ends and starts again with it, and with your session: finish what you are at. "
	switch s.config.Capability {
	case plan.ByDockerfile:
		return text + "Give the whole new Dockerfile, based on the present one: add to it and take nothing away."
	case plan.ByPackages:
		return text + "Give the packages. npm and pip install them for your user, through this bottle's own routes: ask for those to the registry first."
	}
	return "Not available in this bottle."
}

func (s *Server) capabilityBlock(ctx context.Context, in capabilityInput) (Outcome, error) {
	var c ask.CapabilityChange
	switch {
	case s.config.Capability == "":
		return Outcome{}, errors.New("cannot ask for a capability: this bottle's image is fixed")
	case s.config.Capability == plan.ByDockerfile && (in.Dockerfile == "" || len(in.Packages) > 0):
		return Outcome{}, errors.New("cannot ask for a capability: this bottle is made from a Dockerfile; give the whole new one as dockerfile, and no packages")
	case s.config.Capability == plan.ByPackages && (len(in.Packages) == 0 || in.Dockerfile != ""):
		return Outcome{}, errors.New("cannot ask for a capability: this bottle has no image; give packages, and no dockerfile")
	}
	c.Dockerfile = in.Dockerfile
	for _, p := range in.Packages {
		c.Packages = append(c.Packages, ask.Package{Manager: p.Manager, Name: p.Name})
	}
	slices.SortFunc(c.Packages, func(a, b ask.Package) int { return strings.Compare(a.Manager+a.Name, b.Manager+b.Name) })
	c.Packages = slices.Compact(c.Packages)
	if err := c.Check(); err != nil {
		return Outcome{}, err
	}
	candidate, err := json.Marshal(c)
	if err != nil {
		return Outcome{}, err
	}
	title := "a new Dockerfile"
	if len(c.Packages) > 0 {
		var names []string
		for _, p := range c.Packages {
			names = append(names, fmt.Sprintf("%s (%s)", p.Name, p.Manager))
		}
		title = "packages: " + strings.Join(names, ", ")
	}
	return s.propose(ctx, ask.Question{
		Kind: ask.Capability, Key: "capability", Title: title, Words: in.Justification, Candidate: candidate, Scopes: []ask.Scope{ask.Run},
	})
}
