package docker

import (
	"context"
	"fmt"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/build"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// mirrorWord begins what is said of a volume that can be filled again from its remote.
const mirrorWord = "volume with the mirror of "

// neededByGates are the git gate's images of this build of the program, and what they were made on.
// Another build makes its own on the same base within a second.
func (d *Driver) neededByGates(named map[string]engine.Image, program string) map[string]bool {
	refs := make(map[string]bool)
	for ref, image := range named {
		if image.Labels[labelRole] == roleGate && image.Labels[labelProgram] == program {
			refs[ref] = true
			refs[d.reference(gateBaseRepo, image.Labels[labelBase])] = true
		}
	}
	return refs
}

// idleMirrors are the mirrors of this Root that no bottle has which stays; each comes back with the
// next fetch.
func (d *Driver) idleMirrors(ctx context.Context, e *engine.Client, stays func(instance.ID) bool) ([]backend.Surplus, error) {
	volumes, err := e.VolumesNamed(ctx, mirrorVolume(d.Root, ""))
	if err != nil {
		return nil, fmt.Errorf("cannot look for mirrors: %w", err)
	}
	var idle []backend.Surplus
	for _, v := range volumes {
		holders, err := e.Holders(ctx, v.Name)
		if err != nil {
			return nil, fmt.Errorf("cannot look for mirrors: %w", err)
		}
		if slices.ContainsFunc(holders, func(c engine.Found) bool {
			id := c.Labels[labelIdentity]
			return id == "" || c.Labels[labelRoot] != rootTag(d.Root) || stays(instance.ID(id))
		}) {
			continue
		}
		remote := build.Printable(v.Labels[labelRemote])
		if remote == "" {
			remote = "a git remote"
		}
		idle = append(idle, backend.Surplus{Name: v.Name, What: mirrorWord + remote})
	}
	return idle, nil
}
