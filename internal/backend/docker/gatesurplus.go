package docker

import (
	"context"
	"fmt"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/build"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
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

// idleMirrors are the mirrors of this Root that no bottle has; each comes back with the next fetch.
func (d *Driver) idleMirrors(ctx context.Context, e *engine.Client) ([]backend.Surplus, error) {
	volumes, err := e.IdleVolumes(ctx, mirrorVolume(d.Root, ""))
	if err != nil {
		return nil, fmt.Errorf("cannot look for mirrors: %w", err)
	}
	var idle []backend.Surplus
	for _, v := range volumes {
		remote := build.Printable(v.Labels[labelRemote])
		if remote == "" {
			remote = "a git remote"
		}
		idle = append(idle, backend.Surplus{Name: v.Name, What: mirrorWord + remote})
	}
	return idle, nil
}
