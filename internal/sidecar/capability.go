package sidecar

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// capabilityKind judges candidates for what a bottle is made of. An approval takes effect when the
// bottle starts again, which its owner sees to: here there is nothing to apply.
type capabilityKind struct{ has control.Capability }

// Effect implements desk.Kind.
func (k capabilityKind) Effect(candidate json.RawMessage) ([]ask.Fact, error) {
	var c ask.CapabilityChange
	if err := control.Decode(candidate, &c); err != nil {
		return nil, fmt.Errorf("cannot read the candidate: %w", err)
	}
	if err := c.Check(); err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	if (c.Dockerfile != "") != (k.has.Form == plan.ByDockerfile) {
		return nil, fault.New(fault.Denied, "cannot change this bottle so: it takes %s", k.has.Form)
	}
	then := ask.Fact{Name: "then", Value: "the bottle ends, is built anew and starts again with its files and its session"}
	if c.Dockerfile != "" {
		return []ask.Fact{{Name: "change", Value: lineDiff(k.has.Dockerfile, c.Dockerfile)}, then}, nil
	}
	var lines []string
	for _, p := range c.Packages {
		if !slices.Contains(k.has.Packages, p) {
			lines = append(lines, "+ "+p.Manager+" "+p.Name)
		}
	}
	if len(lines) == 0 {
		return nil, fault.New(fault.Exists, "cannot ask for packages that the bottle has already")
	}
	effect := []ask.Fact{{Name: "change", Value: strings.Join(lines, "\n")}, then}
	return append(effect, ask.Fact{Name: "careful", Value: "a package may run code of its own when it is installed, inside the bottle and with its routes"}), nil
}

// Apply implements desk.Kind.
func (capabilityKind) Apply(json.RawMessage) error { return nil }

// lineDiff shows which lines go and which come. Texts of one part in common, at the beginning and
// at the end, are what agents write: what lies between is told whole.
func lineDiff(before, after string) string {
	old, now := lines(before), lines(after)
	head := 0
	for head < len(old) && head < len(now) && old[head] == now[head] {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(now)-head && old[len(old)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	var b strings.Builder
	if head > 0 {
		fmt.Fprintf(&b, "  (%d lines as before)\n", head)
	}
	for _, line := range old[head : len(old)-tail] {
		b.WriteString("- " + line + "\n")
	}
	for _, line := range now[head : len(now)-tail] {
		b.WriteString("+ " + line + "\n")
	}
	if tail > 0 {
		fmt.Fprintf(&b, "  (%d lines as before)\n", tail)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
