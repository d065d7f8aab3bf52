package docker

import (
	"maps"
	"slices"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
)

// TestImagesThatGatesNeed keeps those of this build, with what is below them.
func TestImagesThatGatesNeed(t *testing.T) {
	d := New(Config{Root: "/root/state"})
	image := func(role, program, base string) engine.Image {
		return engine.Image{Labels: map[string]string{labelRole: role, labelProgram: program, labelBase: base}}
	}
	named := map[string]engine.Image{
		"bot-bottle-git:new": image(roleGate, "this", "git-2"), "bot-bottle-git:old": image(roleGate, "another", "git-1"),
		"bot-bottle-git-base:git-1": image(roleGate, "", ""), "bot-bottle-agent:a": image(roleAgent, "", ""),
	}
	got := slices.Sorted(maps.Keys(d.neededByGates(named, "this")))
	if want := []string{"bot-bottle-git-base:git-2" + d.suffix(), "bot-bottle-git:new"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
