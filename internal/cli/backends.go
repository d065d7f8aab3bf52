package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// settings is settings.yml of the home.
type settings struct {
	Backend string         `yaml:"backend"`
	Notify  notifySettings `yaml:"notify"`
}

func readSettings(home *store.Home) (settings, error) {
	file := filepath.Join(home.Root(), "settings.yml")
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}, nil
	}
	var s settings
	if err == nil && len(raw) > 0 {
		err = yaml.UnmarshalWithOptions(raw, &s, yaml.Strict())
	}
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return settings{}, fault.WithHint(fault.New(fault.Invalid, "cannot use %s: %s", file, first), "the keys are backend: NAME and notify: {desktop: true, webhook: {url: https://…, secret_ref: NAME}}")
	}
	if err := s.Notify.check(); err != nil {
		return settings{}, fault.WithHint(fmt.Errorf("cannot use %s: %w", file, err), "the guide tells what notify wants")
	}
	return s, nil
}

// choose picks the backend: the flag, the environment, the settings file, else the first that
// works here; and says why.
func (a *App) choose(ctx context.Context, home *store.Home, flag string) (backend.Driver, plan.Backend, error) {
	drivers := a.Drivers(home)
	name, reason := flag, "--backend"
	if name == "" {
		name, reason = a.env("BOT_BOTTLE_BACKEND"), "BOT_BOTTLE_BACKEND"
	}
	if name == "" {
		s, err := readSettings(home)
		if err != nil {
			return nil, plan.Backend{}, err
		}
		name, reason = s.Backend, "settings.yml"
	}
	if name != "" {
		d, err := named(drivers, name)
		if err != nil {
			return nil, plan.Backend{}, fault.WithHint(fmt.Errorf("%s: %w", reason, err), "%s", fault.HintOf(err))
		}
		return probed(ctx, d, reason)
	}
	var first error
	for _, d := range drivers {
		d, p, err := probed(ctx, d, "the first that works here")
		if err == nil {
			return d, p, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, plan.Backend{}, first
}

func named(drivers []backend.Driver, name string) (backend.Driver, error) {
	i := slices.IndexFunc(drivers, func(d backend.Driver) bool { return d.Name() == name })
	if i >= 0 {
		return drivers[i], nil
	}
	var have []string
	for _, d := range drivers {
		have = append(have, d.Name())
	}
	return nil, fault.WithHint(fault.New(fault.Unavailable, "there is no backend %q in this version", name), "available: %s", strings.Join(have, ", "))
}

func probed(ctx context.Context, d backend.Driver, reason string) (backend.Driver, plan.Backend, error) {
	probe := d.Probe
	if r, ok := d.(backend.Rememberer); ok {
		probe = r.Remembered
	}
	caps, err := probe(ctx)
	if err != nil {
		return nil, plan.Backend{}, err
	}
	if !caps.Works {
		return nil, plan.Backend{}, unusable(d.Name(), caps)
	}
	return d, plan.Backend{Name: d.Name(), Reason: reason, Isolation: caps.Isolation, Gate: slices.Contains(caps.Features, backend.FeatureGate)}, nil
}

// unusable says why a backend does not work and what to do about it.
func unusable(name string, caps backend.Capabilities) error {
	var what, fix []string
	for _, p := range caps.Problems {
		if p.Required {
			what = append(what, p.What)
			if p.Fix != "" {
				fix = append(fix, p.Fix)
			}
		}
	}
	err := fault.New(fault.Unavailable, "backend %s does not work here: %s", name, strings.Join(what, "; "))
	if len(fix) == 0 {
		fix = []string{"bot-bottle doctor tells more"}
	}
	return fault.WithHint(err, "%s", strings.Join(fix, "; "))
}
