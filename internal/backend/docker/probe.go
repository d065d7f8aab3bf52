package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Names of features that a plan may need.
const (
	FeatureProcessLimit = "limit-processes"
	FeatureMemoryLimit  = "limit-memory"
	FeatureCPULimit     = "limit-cpu"
	FeatureTrust        = "trust"
)

func features() []string {
	return []string{FeatureProcessLimit, FeatureMemoryLimit, FeatureCPULimit, FeatureTrust, backend.FeatureGate}
}

// probeLimit bounds a look at an engine that may hang.
const probeLimit = 2 * time.Second

// Probe implements backend.Prober: where no socket is, it asks nobody; else it asks the engine for
// its own account of itself.
func (d *Driver) Probe(ctx context.Context) (backend.Capabilities, error) {
	return d.probe(ctx, d.tryAndKeep)
}

func (d *Driver) probe(ctx context.Context, tried trier) (backend.Capabilities, error) {
	e, err := d.engine()
	if err != nil {
		return lacking(err), nil
	}
	limited, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	info, err := e.Info(limited)
	switch {
	case ctx.Err() != nil:
		return backend.Capabilities{}, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return lacking(fault.WithHint(fault.New(fault.Unavailable, "the engine on %s does not answer within %s", e.Socket(), probeLimit), "look at its log")), nil
	case err != nil:
		return lacking(err), nil
	}
	d.about.Store(&info)
	s, err := d.examine(ctx, e, info, tried)
	switch {
	case ctx.Err() != nil:
		return backend.Capabilities{}, ctx.Err()
	case err != nil:
		return lacking(err), nil
	}
	return judgeEngine(info, s), nil
}

// lacking says why there is no engine to work with.
func lacking(err error) backend.Capabilities {
	return backend.Capabilities{
		Features: []string{},
		Problems: []backend.Problem{{What: err.Error(), Fix: fault.HintOf(err), Required: true}},
	}
}

// judgeEngine turns what an engine says of itself into what a person reads.
func judgeEngine(i engine.Info, s *site) backend.Capabilities {
	c := backend.Capabilities{Works: true, Problems: []backend.Problem{}, Features: features()}
	require := func(ok bool, what, fix string) {
		if !ok {
			c.Works = false
			c.Problems = append(c.Problems, backend.Problem{What: what, Fix: fix, Required: true})
		}
	}
	require(i.OSType == "linux", "the engine runs no Linux containers", "switch it to Linux containers")
	require(i.PidsLimit, "the engine cannot limit processes", "give it the pids cgroup controller")
	require(i.MemoryLimit, "the engine cannot limit memory", "give it the memory cgroup controller")
	seccomp := slices.ContainsFunc(i.SecurityOptions, func(o string) bool { return strings.Contains(o, "seccomp") })
	require(seccomp, "the engine has no seccomp", "use a kernel with CONFIG_SECCOMP_FILTER=y")
	remapped := slices.ContainsFunc(i.SecurityOptions, func(o string) bool { return strings.Contains(o, "name=userns") })
	require(!remapped, "the engine remaps users, so that a bottle's home would belong to nobody", "run the engine without userns-remap")
	fences := []string{"container of engine " + i.ServerVersion, "no network", "no capabilities", "seccomp"}
	if s.linked() {
		fences = []string{"gVisor (runsc), kernel " + s.kernel, "container of engine " + i.ServerVersion, "no network but to the sidecar", "no capabilities", "seccomp"}
		c.Problems = append(c.Problems, backend.Problem{
			What: "under gVisor a bottle has no Landlock and no cgroup namespace of its own, and an agent can read, but open nothing by it, how its init was started",
			Fix:  runtimeVariable + "=runc uses the engine's own runtime",
		})
	}
	if s.refused != "" {
		fences = append(fences, "without gVisor: "+s.refused)
		c.Problems = append(c.Problems, backend.Problem{
			What: "gVisor's runsc is registered and not used: " + s.refused,
			Fix:  "install a newer release of gVisor; " + runtimeVariable + "=runc does not try it",
		})
	}
	c.Isolation = strings.Join(fences, ", ")
	return c
}
