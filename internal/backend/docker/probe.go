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
	FeatureTrust        = "trust"
)

func features() []string { return []string{FeatureProcessLimit, FeatureMemoryLimit, FeatureTrust} }

// probeLimit bounds a look at an engine that may hang.
const probeLimit = 2 * time.Second

// Probe implements backend.Prober: where no socket is, it asks nobody; else it asks the engine for
// its own account of itself.
func (d *Driver) Probe(ctx context.Context) (backend.Capabilities, error) {
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
	d.memory.Store(info.MemTotal)
	return judgeEngine(info), nil
}

// machineMemory is how much the engine's machine has, in bytes; asked once.
func (d *Driver) machineMemory(ctx context.Context, e *engine.Client) (int64, error) {
	if m := d.memory.Load(); m > 0 {
		return m, nil
	}
	info, err := e.Info(ctx)
	if err != nil {
		return 0, err
	}
	d.memory.Store(info.MemTotal)
	return info.MemTotal, nil
}

// lacking says why there is no engine to work with.
func lacking(err error) backend.Capabilities {
	return backend.Capabilities{
		Features: []string{},
		Problems: []backend.Problem{{What: err.Error(), Fix: fault.HintOf(err), Required: true}},
	}
}

// judgeEngine turns what an engine says of itself into what a person reads.
func judgeEngine(i engine.Info) backend.Capabilities {
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
	if _, ok := i.Runtimes["runsc"]; ok {
		c.Problems = append(c.Problems, backend.Problem{
			What: "gVisor's runsc is registered and not used: it has no netfilter for a bottle's network, and lets an agent look into its init",
		})
	}
	c.Isolation = strings.Join([]string{"container of engine " + i.ServerVersion, "no network", "no capabilities", "seccomp"}, ", ")
	return c
}
