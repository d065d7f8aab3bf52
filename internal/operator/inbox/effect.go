package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Effect says what a candidate that the operator made of a proposal's would change: how it differs
// from the one that was asked for, and for a route what it opens in the bottle as it is now.
func (b Box) Effect(ctx context.Context, p ask.Proposal, candidate json.RawMessage) ([]ask.Fact, error) {
	facts := []ask.Fact{{Name: "edited", Value: Diff(readable(p.Candidate), readable(candidate))}}
	if p.Kind != ask.Route {
		return facts, nil
	}
	route, err := routeOf(candidate)
	if err != nil {
		return nil, fault.New(fault.Invalid, "cannot read what you wrote: %w", err)
	}
	of, err := bottleOf(p.ID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := b.Connect(ctx, of)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	now, err := client.Routes(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := policy.Compile(now.Egress)
	if err != nil {
		return nil, err
	}
	offered, err := rules.Offer(route)
	if err != nil {
		return nil, err
	}
	facts = append(facts,
		ask.Fact{Name: "change", Value: "+ " + strings.ReplaceAll(strings.TrimSuffix(offered.Added, "\n"), "\n", "\n+ ")},
		ask.Fact{Name: "newly reachable", Value: offered.Opens}, ask.Fact{Name: "now", Value: offered.Now})
	for _, warning := range offered.Warnings {
		facts = append(facts, ask.Fact{Name: "careful", Value: warning})
	}
	return facts, nil
}

// readable is a candidate in lines that a person compares.
func readable(candidate json.RawMessage) string {
	var c ask.CapabilityChange
	if json.Unmarshal(candidate, &c) == nil && c.Dockerfile != "" {
		return c.Dockerfile
	}
	var text bytes.Buffer
	if json.Indent(&text, candidate, "", "  ") != nil {
		return string(candidate)
	}
	return text.String()
}

// around is how many lines that stay are shown on each side of those that do not.
const around = 2

// Diff is what differs between two texts, line by line, with what stands around it: "- " went,
// "+ " came, "  " stays. Texts that are alike give "". Everything from the first difference to the
// last counts as one.
func Diff(before, after string) string {
	if before == after {
		return ""
	}
	old, fresh := split(before), split(after)
	head := 0
	for head < len(old) && head < len(fresh) && old[head] == fresh[head] {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(fresh)-head && old[len(old)-1-tail] == fresh[len(fresh)-1-tail] {
		tail++
	}
	var out []string
	add := func(mark string, lines []string) {
		for _, l := range lines {
			out = append(out, mark+l)
		}
	}
	add("  ", old[max(0, head-around):head])
	add("- ", old[head:len(old)-tail])
	add("+ ", fresh[head:len(fresh)-tail])
	add("  ", old[len(old)-tail:min(len(old), len(old)-tail+around)])
	return strings.Join(out, "\n")
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
