package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// world is where a run of the benchmark lies: a home of bot-bottle, and the programs.
type world struct {
	options
	dir  string
	self string
	undo []func() error
}

func newWorld(o options) (*world, error) {
	w := &world{options: o}
	var err error
	for _, p := range []*string{&w.program, &w.first} {
		if *p, err = filepath.Abs(*p); err == nil {
			_, err = os.Stat(*p)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot find what is measured; make bench builds it: %w", err)
		}
	}
	if w.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "bot-bottle-bench-*"); err != nil {
		return nil, err
	}
	w.undo = append(w.undo, func() error { return os.RemoveAll(w.dir) })
	err = w.build()
	return w, err
}

// build lays out a home with one agent for each provider program: the small one whose start is
// measured, and this one, which carries traffic.
func (w *world) build() error {
	for name, program := range map[string]string{"first": w.first, "traffic": w.self} {
		if err := os.MkdirAll(w.path(name), 0o755); err != nil { //nolint:gosec // below a directory that only its owner enters
			return err
		}
		if err := os.Symlink(program, w.path(name, "claude")); err != nil {
			return err
		}
	}
	return w.manifest("127.0.0.1:9", "")
}

// manifest writes the bottle: one route, to the upstream.
func (w *world) manifest(upstream, ca string) error {
	route := "    - {host: " + benchHost + ", connect_to: \"" + upstream + "\"}\n"
	if ca != "" {
		route = "    - {host: " + benchHost + ", connect_to: \"" + upstream + "\", upstream_ca: " + ca + "}\n"
	}
	files := map[string]string{
		"home/bottles/bench.md": "---\nagent_provider: {template: claude}\nsupervise: false\negress:\n  routes:\n" + route + "---\n",
		"home/agents/bench.md":  "---\nbottle: bench\n---\n\nMeasure.\n",
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) path(names ...string) string {
	return filepath.Join(append([]string{w.dir}, names...)...)
}

// bottle is a command line of bot-bottle in this world, with the given agent's program.
func (w *world) bottle(ctx context.Context, agent string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, w.program, args...)
	c.Dir = w.dir
	c.Env = append(os.Environ(), "BOT_BOTTLE_HOME="+w.path("home"), "PATH="+w.path(agent)+":"+os.Getenv("PATH"),
		"BOT_BOTTLE_CLAUDE_OAUTH_TOKEN=bench-not-a-token")
	return c
}

// Close undoes everything, last first.
func (w *world) Close() error {
	var errs []error
	for i := len(w.undo) - 1; i >= 0; i-- {
		errs = append(errs, w.undo[i]())
	}
	w.undo = nil
	return errors.Join(errs...)
}

// machine says in one line what was measured on.
func machine() string {
	model := "an unknown processor"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("Measured on %d × %s, Linux %s, as %s.\n", cores(), model, strings.TrimSpace(string(release)), who())
}

func who() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return "an ordinary user"
}
