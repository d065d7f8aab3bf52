package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// program is what users run. held is the same with a hook for tests: it can be held at a phase.
var program, held string

// TestMain builds the program, or takes the one that BOT_BOTTLE_TEST_PROGRAM names and beside it
// the one with the suffix .testpause; so that a user who has no compiler can run the tests.
func TestMain(m *testing.M) {
	if program = os.Getenv("BOT_BOTTLE_TEST_PROGRAM"); program != "" {
		held = program + ".testpause"
		code := m.Run()
		stopEngine()
		os.Exit(code)
	}
	dir, err := os.MkdirTemp("", "bot-bottle-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program, held = filepath.Join(dir, "bot-bottle"), filepath.Join(dir, "bot-bottle.testpause")
	for path, tags := range map[string]string{program: "", held: "testpause"} {
		build := exec.Command("go", "build", "-tags", tags, "-o", path, "../../cmd/bot-bottle")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot build: %v\n%s", err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	stopEngine()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// world is one user's machine: a home, a project, a PATH, an upstream.
type world struct {
	t                        *testing.T
	dir, home, user, project string
	bin                      string
	env                      map[string]string
	upstream                 *standin.Upstream
	limit                    time.Duration // of a command line
}

func newWorld(t *testing.T, config standin.Config) *world {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, limit: 2 * time.Minute, dir: dir, user: filepath.Join(dir, "user"), project: filepath.Join(dir, "project"), bin: filepath.Join(dir, "bin")}
	w.home = filepath.Join(w.user, ".bot-bottle")
	for _, d := range []string{w.user, w.project, w.bin} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.upstream, err = standin.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.upstream.Close() })
	w.file(filepath.Join(w.home, "bottles", "upstream.pem"), w.upstream.CA(), 0o600)
	w.env = map[string]string{
		"HOME": w.user, "PATH": w.bin + ":/usr/local/bin:/usr/bin:/bin", "TERM": "xterm-256color",
		"BOT_BOTTLE_CLAUDE_OAUTH_TOKEN": w.token(),
	}
	t.Cleanup(w.nothingRuns)
	return w
}

// token is this world's secret, built so that no scanner finds one here.
func (w *world) token() string {
	return "sk-ant-" + "oat01-" + strings.Repeat("q7", 20) + filepath.Base(w.dir)
}

func (w *world) file(path, text string, mode os.FileMode) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
}

// bottle writes the bottle and the agent "work". Each of hosts is a route to the upstream.
func (w *world) bottle(extra string, routes ...string) {
	w.t.Helper()
	var b strings.Builder
	b.WriteString("---\n" + extra + "egress:\n  log: full\n  routes:\n")
	for _, r := range routes {
		host, more, _ := strings.Cut(r, "\n")
		fmt.Fprintf(&b, "    - host: %s\n      connect_to: %s\n      upstream_ca: upstream.pem\n", host, w.upstream.Addr())
		for line := range strings.Lines(more) {
			b.WriteString("      " + strings.TrimRight(line, "\n") + "\n")
		}
	}
	b.WriteString("---\n")
	w.file(filepath.Join(w.home, "bottles", "work.md"), b.String(), 0o600)
	w.file(filepath.Join(w.home, "agents", "work.md"), "---\nbottle: work\n---\n\nSay what you see.\n", 0o600)
}

// agent puts a shell script in the place of the provider's program.
func (w *world) agent(script string) {
	w.t.Helper()
	w.file(filepath.Join(w.bin, "claude"), "#!/bin/bash\n"+script, 0o755)
}

type result struct {
	code     int
	out, err string
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	return w.commandOf(ctx, program, args...)
}

func (w *world) commandOf(ctx context.Context, program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = w.project
	for k, v := range w.env {
		c.Env = append(c.Env, k+"="+v)
	}
	return c
}

func (w *world) run(args ...string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), w.limit)
	defer cancel()
	c := w.command(ctx, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		w.t.Fatalf("%v: %v\n%s", args, err, errs.String())
	}
	return result{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// headless starts the agent "work" without a terminal.
func (w *world) headless(prompt string, more ...string) result {
	w.t.Helper()
	return w.run(slices.Concat([]string{"start", "work", "--yes", "--headless", "--prompt", prompt}, more)...)
}

var keptLine = regexp.MustCompile(`(?m)^kept ([a-z0-9-]+):`)

// kept is the identity that a start or resume said it kept.
func (r result) kept(t *testing.T) string {
	t.Helper()
	m := keptLine.FindStringSubmatch(r.err)
	if m == nil {
		t.Fatalf("nothing was kept (exit %d):\n%s\n%s", r.code, r.out, r.err)
	}
	return m[1]
}

// nothingRuns fails the test when a process of this world is left.
func (w *world) nothingRuns() {
	if left := w.processes(); len(left) > 0 {
		w.t.Errorf("left running: %q", left)
	}
}

// processes lists the running guests and sidecars of this world's home, by their titles.
func (w *world) processes() []string {
	var out []string
	for pid, line := range commandLines() {
		if strings.HasPrefix(line, w.title()) {
			out = append(out, fmt.Sprint(pid, " ", line))
		}
	}
	slices.Sort(out)
	return out
}

// title begins the argv of every guest and sidecar of this world's home.
func (w *world) title() string {
	sum := sha256.Sum256([]byte(filepath.Join(w.home, "state")))
	return "bot-bottle:" + hex.EncodeToString(sum[:4]) + ":"
}

// commandLines is the argv of every process, joined by blanks.
func commandLines() map[int]string {
	lines := map[int]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if raw, err := os.ReadFile(f); err == nil {
			lines[pid] = strings.ReplaceAll(string(raw), "\x00", " ")
		}
	}
	return lines
}

// needNative goes on where the native backend works; doctor is the judge.
func needNative(t *testing.T) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, "doctor")
	c.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("bot-bottle doctor: %w\n%s", err, out)
	}
	need.Require(t, need.Native, err)
}
