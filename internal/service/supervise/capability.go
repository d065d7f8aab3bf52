package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/ask"
)

// What capability-block can ask for.
const (
	ByDockerfile = "dockerfile"
	ByPackages   = "packages"
)

func (s *Server) capabilityText() string {
	const text = "Ask the operator for a program that this bottle lacks. After an approval the bottle ends and starts again with it, and with your session: finish what you are at. "
	switch s.config.Capability {
	case ByDockerfile:
		return text + "Give the whole new Dockerfile, based on the present one: add to it and take nothing away."
	case ByPackages:
		return text + "Give the packages. npm and pip install for your user, through this bottle's own routes; apt unpacks a package for your user, without its install scripts."
	}
	return "Not available in this bottle."
}

func (s *Server) capabilityBlock(ctx context.Context, in capabilityInput) (Outcome, error) {
	var c ask.CapabilityChange
	switch {
	case s.config.Capability == "":
		return Outcome{}, errors.New("cannot ask for a capability: this bottle's image is fixed")
	case s.config.Capability == ByDockerfile && (in.Dockerfile == "" || len(in.Packages) > 0):
		return Outcome{}, errors.New("cannot ask for a capability: this bottle is made from a Dockerfile; give the whole new one as dockerfile, and no packages")
	case s.config.Capability == ByPackages && (len(in.Packages) == 0 || in.Dockerfile != ""):
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
