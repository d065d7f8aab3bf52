// Package bench measures bot-bottle beside its peers, in one run, and prints the ratios.
//
// Its one rule: fair comparisons only. Every peer runs the same program or carries the same
// payload, the rounds of all peers take turns, and a peer that cannot run is named, not left out.
package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Main runs the measurements, or one of the programs that they need, and returns the exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "load":
			return load(args[1:], os.Stdout)
		case "upstream":
			return serveUpstream(ctx, os.Stdout)
		case "--dangerously-skip-permissions":
			return hold(ctx, os.Stdout)
		}
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.program, "program", "bin/bot-bottle", "the bot-bottle to measure")
	flags.StringVar(&o.first, "first", "bin/bot-bottle-bench-first", "the program whose start is measured")
	flags.StringVar(&o.npm, "npm", npmDirectory(), "where scripts/setup installed npm packages")
	flags.StringVar(&o.only, "only", "", "measure only: start, version, traffic, scan, git (comma between)")
	flags.StringVar(&o.write, "write", "", "also put the tables between the markers of this Markdown file")
	flags.IntVar(&o.commits, "commits", 5000, "commits of the repository that is cloned, each of 20 KB; 50000 is the full size")
	flags.IntVar(&o.starts, "starts", 15, "starts of each peer")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds of each peer's traffic")
	flags.DurationVar(&o.round, "round", time.Second, "length of a round of traffic")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return o.measure(ctx, os.Stdout)
}

// options are the flags.
type options struct {
	program, first, npm, only, write string
	starts, rounds, commits          int
	round                            time.Duration
}

func (o options) wants(what string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), what)
}

func (o options) measure(ctx context.Context, out io.Writer) (err error) {
	w, err := newWorld(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	began := time.Now()
	r := &report{}
	for _, part := range []struct {
		name string
		do   func(context.Context, *world, *report) error
	}{{"start", measureStart}, {"version", measureVersion}, {"traffic", measureTraffic}, {"scan", measureScan}, {"git", measureGit}} {
		if !o.wants(part.name) {
			continue
		}
		if err := part.do(ctx, w, r); err != nil {
			return fmt.Errorf("cannot measure %s: %w", part.name, err)
		}
	}
	r.note("All of it took %d s.", int(time.Since(began).Seconds()))
	text := machine() + r.String()
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if o.write != "" {
		return splice(o.write, text)
	}
	return nil
}

// splice replaces what stands between the markers of a document.
func splice(path, text string) error {
	const from, to = "<!-- bench: from here -->\n", "<!-- bench: to here -->"
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(raw), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok1 || !ok2 {
		return fmt.Errorf("cannot write to %s: it has no markers %q and %q", path, strings.TrimSpace(from), to)
	}
	return os.WriteFile(path, []byte(before+from+text+to+after), 0o644) //nolint:gosec // a document
}

// npmDirectory is where scripts/setup installs, by the same rule.
func npmDirectory() string {
	if dir := os.Getenv("BOT_BOTTLE_TEST_NPM"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "bot-bottle-test", "npm")
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// hold is the agent of the bottle through which traffic goes: it tells where it is, and waits.
func hold(ctx context.Context, out io.Writer) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, name, filepath.Clean(self)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
