package native

import (
	"path/filepath"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// check refuses a plan that is not resolved, or needs what is not there, before anything is made.
func check(p *plan.Plan, features []string) error {
	if _, err := instance.Parse(string(p.ID)); err != nil {
		return fault.New(fault.Invalid, "cannot prepare a bottle: %w", err)
	}
	for name, path := range map[string]string{"home": p.Paths.Home, "run": p.Paths.Run, "audit": p.Paths.Audit, "proposals": p.Paths.Proposals} {
		if !filepath.IsAbs(path) {
			return fault.New(fault.Invalid, "cannot prepare %q: its %s path %q is not absolute", p.ID, name, path)
		}
	}
	needs := p.Needs
	if p.Limits.MemoryBytes > 0 {
		needs = append([]string{FeatureMemoryLimit}, needs...)
	}
	if p.Limits.MilliCPUs > 0 {
		needs = append([]string{FeatureCPULimit}, needs...)
	}
	for _, need := range needs {
		if !slices.Contains(features, need) {
			return fault.WithHint(fault.New(fault.Unsupported, "cannot prepare %q: it needs %q, which this backend cannot give here", p.ID, need),
				"run bot-bottle doctor, or use another backend")
		}
	}
	return nil
}
