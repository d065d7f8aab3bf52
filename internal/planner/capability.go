package planner

import "github.com/bot-bottle/bot-bottle/internal/plan"

// capability says what the agent may ask to have changed: the Dockerfile of a bottle that is built
// from one, packages of its user where the bottle has no image, nothing of an image that is there.
func (m *maker) capability() {
	p := m.out.Plan
	switch {
	case !p.Supervise:
	case p.Image.Dockerfile != "":
		p.Capability.Form = plan.ByDockerfile
	case m.req.Backend.Name != imageBackend:
		p.Capability.Form, p.Capability.Packages = plan.ByPackages, m.req.Packages
	}
}
