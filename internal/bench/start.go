package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// starter is one way to run the program whose start is measured.
type starter struct {
	name    string
	version string
	command func(context.Context) *exec.Cmd
	first   sample // from exec of the command to the program's first instruction
	whole   sample // to the end of the command
	broken  bool   // failed once; its figures are not shown
}

func measureStart(ctx context.Context, w *world, r *report) error {
	progress("starts: %d of each peer, taking turns", w.starts)
	peers, missing := startPeers(ctx, w)
	const warm = 2
	for i := range warm + w.starts {
		for _, p := range peers {
			if p.broken {
				continue
			}
			first, whole, err := startOnce(p.command(ctx))
			if err != nil && p == peers[0] {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if err != nil {
				p.broken = true
				missing = append(missing, fmt.Sprintf("%s: it failed in round %d: %v", p.name, i, err))
				continue
			}
			if i >= warm {
				p.first, p.whole = append(p.first, first), append(p.whole, whole)
			}
		}
	}
	peers = slices.DeleteFunc(peers, func(p *starter) bool { return p.broken })
	ours := peers[0].first.p50()
	rows := [][]string{{"start of the same static program", "first instruction p50", "p99", "whole command p50", "times bot-bottle's"}}
	for _, p := range peers {
		rows = append(rows, []string{p.name, ms(p.first.p50()), ms(p.first.p99()), ms(p.whole.p50()), times(p.first.p50().Seconds(), ours.Seconds())})
	}
	r.table("Start", rows)
	parts, err := startParts(ctx, w)
	if err != nil {
		return err
	}
	r.note("Of bot-bottle's start, medians: %s. The rest is the command line's own start, manifests, probe and plan, and the agent's exec.", parts)
	budgets := [][]string{
		{"budget", "measured", ""},
		{"start ≤ 60 ms", ms(ours), held(ours <= 60*time.Millisecond)},
	}
	for _, b := range []struct {
		peer string
		part float64
	}{{dockerRun, 8}, {"srt", 6}} {
		if p := peerNamed(peers, b.peer); p != nil {
			ratio := p.first.p50().Seconds() / ours.Seconds()
			budgets = append(budgets, []string{fmt.Sprintf("≤ 1/%.0f of %s", b.part, b.peer), fmt.Sprintf("1/%.1f", ratio), held(ratio >= b.part)})
		} else {
			budgets = append(budgets, []string{fmt.Sprintf("≤ 1/%.0f of %s", b.part, b.peer), "not measured", "–"})
		}
	}
	r.table("Budgets of the start", append(budgets, containerBudget(peers)))
	for _, p := range peers {
		if p.version != "" {
			r.note("%s: %s.", p.name, p.version)
		}
	}
	for _, m := range missing {
		r.note("Not measured: %s.", m)
	}
	return nil
}

// containerBudget holds a bottle in containers against what the engine itself takes for two of them.
func containerBudget(peers []*starter) []string {
	const name = "in containers ≤ 1.6 × docker run and a second container"
	ours, one, second := peerNamed(peers, inContainer), peerNamed(peers, dockerRun), peerNamed(peers, dockerAlone)
	if ours == nil || one == nil || second == nil {
		return []string{name, "not measured", "–"}
	}
	most := 1.6*one.first.p50().Seconds() + second.first.p50().Seconds()
	return []string{name, fmt.Sprintf("%s of %.1f ms", ms(ours.first.p50()), 1000*most), held(ours.first.p50().Seconds() <= most)}
}

func peerNamed(peers []*starter, name string) *starter {
	for _, p := range peers {
		if p.name == name {
			return p
		}
	}
	return nil
}

// startOnce runs the command and reads the clock that the program wrote first.
func startOnce(c *exec.Cmd) (first, whole time.Duration, err error) {
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	began := monotonic()
	err = c.Run()
	whole = monotonic() - began
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	at, err := strconv.ParseInt(strings.TrimSpace(out.String()), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("the program wrote %q, not the clock: %s", out.String(), strings.TrimSpace(said.String()))
	}
	return time.Duration(at) - began, whole, nil
}

// startPeers are all ways that this machine has, ours first, and what is missing and why.
func startPeers(ctx context.Context, w *world) (peers []*starter, missing []string) {
	peers = append(peers, &starter{name: "bot-bottle start, native", command: func(ctx context.Context) *exec.Cmd {
		return w.bottle(ctx, "first", "start", "bench", "--headless", "--yes", "--prompt", "go")
	}}, &starter{name: "no sandbox", command: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, w.first) }})
	for _, make := range []func(context.Context, *world) ([]*starter, error){bubblewrap, docker, sandboxRuntime} {
		more, err := make(ctx, w)
		if err != nil {
			progress("%v", err)
			missing = append(missing, err.Error())
		}
		peers = append(peers, more...)
	}
	return peers, missing
}

// startParts runs some more starts with the trace on, and returns the medians of its parts.
func startParts(ctx context.Context, w *world) (string, error) {
	shape := regexp.MustCompile(`ready in ([\d.]+) ms: prepare ([\d.]+), sidecar ([\d.]+), self-check ([\d.]+), provision ([\d.]+)`)
	names := []string{"ready within", "prepare", "sidecar", "self-check", "provision"}
	parts := make([][]float64, len(names))
	for range w.starts {
		c := w.bottle(ctx, "first", "start", "bench", "--headless", "--yes", "--prompt", "go")
		c.Env = append(c.Env, "BOT_BOTTLE_TRACE=1")
		var said bytes.Buffer
		c.Stderr = &said
		if err := c.Run(); err != nil {
			return "", fmt.Errorf("%w: %s", err, said.String())
		}
		found := shape.FindStringSubmatch(said.String())
		if found == nil {
			return "", fmt.Errorf("bot-bottle did not say how long its parts took: %s", said.String())
		}
		for i := range names {
			v, err := strconv.ParseFloat(found[i+1], 64)
			if err != nil {
				return "", err
			}
			parts[i] = append(parts[i], v)
		}
	}
	var out []string
	for i, name := range names {
		out = append(out, fmt.Sprintf("%s %.1f ms", name, median(parts[i])))
	}
	return strings.Join(out, ", "), nil
}

func measureVersion(ctx context.Context, w *world, r *report) error {
	progress("version")
	ways := []*starter{
		{name: "bot-bottle version", command: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, w.program, "version") }},
		{name: "the smallest Go program", command: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, w.first) }},
	}
	const runs = 60
	for range runs {
		for _, p := range ways {
			c := p.command(ctx)
			began := time.Now()
			if err := c.Run(); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			p.whole = append(p.whole, time.Since(began))
		}
	}
	rows := [][]string{{"the binary's own start", "p50", "p99", "budget 10 ms"}}
	for i, p := range ways {
		budget := ""
		if i == 0 {
			budget = held(p.whole.p50() <= 10*time.Millisecond)
		}
		rows = append(rows, []string{p.name, ms(p.whole.p50()), ms(p.whole.p99()), budget})
	}
	r.table("Version", rows)
	return nil
}

// firstLine of what a command says, for versions.
func firstLine(ctx context.Context, name string, args ...string) string {
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), "LC_ALL=C")
	out, err := c.CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		return "version unknown"
	}
	return line
}
