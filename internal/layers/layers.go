// Package layers holds the house rules of the sources: which package may import which, and what
// every file looks like.
//
// Its one rule: it reads the sources itself, so that no build cache answers for them; a package
// that it does not know is a finding.
package layers

// layer is a height in the building; imports go down only, never sideways.
type layer int

const (
	ground    layer = iota // words that everything uses
	data                   // values and pure functions over them
	records                // what is resolved, written, signed
	contracts              // what a backend, a provider, a guest has to be
	services               // the capabilities, each alone
	joiners                // what makes services one process, and providers of a kind
	drivers                // technologies behind the contracts, and the planner
	bottles                // orchestration
	operators              // the inbox and the log as data
	renderers              // how a person sees them
	front                  // the command line
	program                // main
)

const module = "github.com/bot-bottle/bot-bottle/"

// table knows every package, by its path below the module.
func table() map[string]layer { //nolint:funlen // one line for each package
	return map[string]layer{
		"plugin":            ground,
		"internal/ask":      ground,
		"internal/fault":    ground,
		"internal/instance": ground,
		"internal/layers":   ground,
		"internal/need":     ground,
		"internal/stdio":    ground,
		"internal/undo":     ground,

		"internal/clone":   data,
		"internal/pack":    data,
		"internal/policy":  data,
		"internal/secret":  data,
		"internal/standin": data,

		"internal/audit":          records,
		"internal/ca":             records,
		"internal/host":           records,
		"internal/plan":           records,
		"internal/guest/wire":     records,
		"internal/guest/wire/mux": records,

		"internal/backend":         contracts,
		"internal/forge":           contracts,
		"internal/desk":            contracts,
		"internal/guest/fence":     contracts,
		"internal/guest/netns":     contracts,
		"internal/guest/rootfs":    contracts,
		"internal/guest/selfcheck": contracts,
		"internal/guest/transfer":  contracts,
		"internal/manifest":        contracts,
		"internal/provider":        contracts,
		"internal/sidecar/fence":   contracts,
		"internal/store":           contracts,

		"internal/login":                   services,
		"internal/backend/docker/engine":   services,
		"internal/backend/docker/registry": services,
		"internal/backend/session":         services,

		"internal/guest/session":      services,
		"internal/provider/harness":   services,
		"internal/service/dlp":        services,
		"internal/service/dlp/rules":  contracts,
		"internal/service/dlp/corpus": contracts,
		"internal/service/dns":        services,
		"internal/service/egress":     services,
		"internal/pull":               services,
		"internal/service/gitgate":    services,
		"internal/service/supervise":  services,
		"internal/sidecar/control":    services,

		"internal/backend/docker/build":  joiners,
		"internal/gate":                  joiners,
		"internal/gate/gatetest":         services,
		"internal/guest":                 joiners,
		"internal/provider/claude":       joiners,
		"internal/provider/codex":        joiners,
		"internal/provider/external":     joiners,
		"internal/provider/providertest": joiners,
		"internal/sidecar":               joiners,

		"internal/backend/backendtest":       drivers,
		"internal/backend/docker":            drivers,
		"internal/backend/docker/enginetest": drivers,
		"internal/backend/fake":              drivers,
		"internal/backend/native":            drivers,
		"internal/planner":                   drivers,

		"internal/bottle":         bottles,
		"internal/operator/inbox": bottles,

		"internal/demo":            operators,
		"internal/operator/view":   operators,
		"internal/operator/notify": renderers,
		"internal/operator/tui":    renderers,

		"internal/bench":        front,
		"internal/cli":          front,
		"internal/e2e":          program,
		"bottle":                contracts,
		"examples/orchestrator": program,
		"cmd/bot-bottle":        program,

		"cmd/bot-bottle-bench":       program,
		"cmd/bot-bottle-bench-first": program,
	}
}

// fence forbids what the heights alone would allow.
type fence struct {
	of      []string // packages; "x/..." means x and below
	forbids []string // our packages by path, others by import path; "x/..." as above
	deep    bool     // also through what those packages import
	why     string
}

func fences() []fence {
	impure := []string{
		"bufio", "crypto/rand", "io/fs", "io/ioutil", "log/...", "math/rand/...", "net", "net/http/...", "os/...",
		"path/filepath", "runtime/...", "sync/...", "syscall", "time", "golang.org/x/sys/...", "golang.org/x/net/http2",
	}
	return []fence{
		{
			of: []string{"internal/backend/..."}, deep: true,
			forbids: []string{"internal/manifest", "internal/provider/...", "internal/store"},
			why:     "a backend gets a plan and nothing else",
		},
		{
			of: []string{"internal/guest/..."}, deep: true,
			forbids: []string{"internal/secret", "internal/ca", "internal/sidecar", "internal/service/...", "internal/store", "internal/manifest"},
			why:     "code inside the bottle knows no secret, no CA and no control API",
		},
		{
			of: []string{"internal/provider/..."}, deep: true,
			forbids: []string{"internal/backend/...", "internal/store", "internal/sidecar", "internal/service/..."},
			why:     "a provider returns data and never touches a backend",
		},
		{of: []string{"internal/policy"}, forbids: impure, why: "policy is pure: no I/O, no clock"},
		{of: []string{"internal/plan"}, forbids: impure, why: "a plan is data"},
		{
			of:      []string{"internal/policy", "internal/plan", "internal/instance", "internal/fault"},
			forbids: []string{"unsafe", "C"}, why: "data needs neither",
		},
	}
}

// drivenOnlyByCLI are the entries of the lists of backends and providers, which cli alone imports
// and hands down.
func drivenOnlyByCLI() []string {
	return []string{
		"internal/backend/native", "internal/backend/docker", "internal/backend/fake",
		"internal/provider/claude", "internal/provider/codex", "internal/provider/external",
	}
}
