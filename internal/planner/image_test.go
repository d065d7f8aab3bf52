package planner_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/planner"
)

// TestWhatABottleIsMadeOf goes through the choices from the last to the first: each wins over all
// before it.
func TestWhatABottleIsMadeOf(t *testing.T) {
	w := newWorld(t, "---\nagent_provider: {template: claude, dockerfile: ./Dockerfile}\n---\n", "---\nbottle: work\n---\n")
	plain := newWorld(t, "---\n---\n", "---\nbottle: work\n---\n")
	state := t.TempDir()
	made := func(w *world, backend string) *plan.Plan {
		t.Helper()
		r := request()
		r.Backend, r.Paths.State = plan.Backend{Name: backend}, state
		p, err := planner.Make(w.host(t), r)
		if err != nil {
			t.Fatal(err)
		}
		return p.Plan
	}
	if p := made(plain, "native"); p.Image.Dockerfile != "" || p.Command.Args[0] != "/bottle/bin/claude" {
		t.Errorf("native: %+v %q", p.Image, p.Command.Args)
	}
	p := made(plain, "docker")
	if !strings.Contains(p.Image.Dockerfile, "@anthropic-ai/claude-code@${VERSION}") || p.Command.Args[0] != "claude" || len(p.Mounts) > 0 {
		t.Errorf("the provider's: %+v %q %v", p.Image, p.Command.Args, p.Mounts)
	}
	if !slices.Contains(p.Builds, "an image from the provider's Dockerfile") {
		t.Errorf("builds: %q", p.Builds)
	}
	plain.env["BOT_BOTTLE_BASE_IMAGE"], plain.env["BOT_BOTTLE_AGENT_VERSION"] = "mine:1", "2.0.0"
	if p := made(plain, "docker"); p.Image.Args["BASE"] != "mine:1" || p.Image.Args["VERSION"] != "2.0.0" {
		t.Errorf("arguments: %v", p.Image.Args)
	}
	w.write(t, filepath.Join(w.cwd, "Dockerfile"), "FROM manifest")
	if p := made(w, "docker"); p.Image.Dockerfile != "FROM manifest" || p.Image.Context != w.cwd || p.Image.Name != "Dockerfile" {
		t.Errorf("the manifest's: %+v", p.Image)
	}
	w.write(t, filepath.Join(state, "Dockerfile"), "FROM run")
	if p := made(w, "docker"); p.Image.Dockerfile != "FROM run" || p.Image.Context != "" {
		t.Errorf("the run's: %+v", p.Image)
	}
	home := newWorld(t, "---\nagent_provider: {template: claude, dockerfile: ~/Dockerfile}\n---\n", "---\nbottle: work\n---\n")
	home.write(t, filepath.Join(home.user, "Dockerfile"), "FROM home")
	r := request()
	r.Backend.Name = "docker"
	if p, err := planner.Make(home.host(t), r); err != nil || p.Plan.Image.Dockerfile != "FROM home" || p.Plan.Image.Context != "" {
		t.Errorf("a Dockerfile in the user's home may copy from it: %+v, %v", p, err)
	}
	w.env["BOT_BOTTLE_IMAGE"], w.env["BOT_BOTTLE_DERIVED_IMAGE"] = "override:1", "derived:1"
	if p, err := planner.Make(w.host(t), r); err != nil || !strings.Contains(strings.Join(p.Plan.Notes, "\n"), "BOT_BOTTLE_DERIVED_IMAGE is not used") {
		t.Errorf("nothing is said of the derived image: %+v, %v", p, err)
	}
	if p := made(w, "docker"); p.Image.Ref != "override:1" || p.Image.Dockerfile != "" {
		t.Errorf("the override: %+v", p.Image)
	}
}
