// Package backendtest is the one suite that every backend passes, the fake included.
//
// Its one rule: it knows a backend by its contract only; what a backend may lack is an option that
// its test states.
package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// patience bounds every wait of the suite. Nothing waits for it but a failure.
const patience = 30 * time.Second

// Options say what the backend under test is.
type Options struct {
	// Shell: commands are programs of a real system, with /bin/sh among them. Without it only
	// true, false, cat, echo and sleep are run.
	Shell bool
	// Sealed: a kernel holds the bottle, so posture and network are tried from inside. The
	// sidecar of the test answers every TCP connection with "<listener> <destination>" and
	// every name with NXDOMAIN.
	Sealed bool

	// Each deviation is the reason why a backend is held to the weaker promise; "" is none.

	// HostTried: what the driver does on the host was tried on another of its runtimes; what is left
	// is what is in the bottle, and its life.
	HostTried string
	// HostUsers: the user namespace is the host's; what is left is that root is nobody here.
	HostUsers string
	// HostCgroups: the cgroup namespace is the host's; what is left is that no cgroup can be written.
	HostCgroups string
	// ImageRoot: the root and its accounts are an image's; what is left is that nothing of the
	// host is there and nothing can be written.
	ImageRoot string
	// MountFlags: mounts lack the flags nosuid, nodev or ro; what is left is that nobody gains
	// privileges, makes a device or writes there.
	MountFlags string
	// OwnKernel: the kernel is not Linux; what is left is what its programs can and cannot do, not
	// what it tells of that in /proc.
	OwnKernel string
	// InitTold: how init was started can be read, and init can be killed; what is left is that
	// nothing of it can be opened, and that its end is the bottle's.
	InitTold string
	// MemoryEnds: what goes over the limit of memory ends the bottle with it.
	MemoryEnds string
	// EmptyMasks: what is hidden of /proc can be opened and is empty.
	EmptyMasks string
}

// Run runs the whole suite. open makes a driver whose bottles keep their state below root; it is
// called once for each test.
func Run(t *testing.T, open func(t *testing.T, root string) backend.Driver, o Options) {
	s := &suite{open: open, o: o}
	for _, group := range []struct {
		name  string
		needs bool
		run   func(*testing.T)
	}{
		{"life", true, s.life},
		{"failures", o.HostTried == "", s.failures},
		{"inventory", o.HostTried == "", s.inventory},
		{"exec", true, s.exec},
		{"files", true, s.files},
		{"honesty", true, s.honesty},
		{"parallel lives", o.HostTried == "", s.parallel},
		{"shell", o.Shell, s.shell},
		{"terminal", o.Shell, s.terminal},
		{"posture", o.Sealed, s.posture},
		{"network", o.Sealed, s.network},
	} {
		if group.needs {
			t.Run(group.name, group.run)
		}
	}
}

type suite struct {
	open func(*testing.T, string) backend.Driver
	o    Options
}

// bottle is one run under test.
type bottle struct {
	t    *testing.T
	d    backend.Driver
	root string
	plan *plan.Plan
	h    backend.Handle
}

// Plan is a small one whose state is below root, as the store lays it out.
func Plan(root string) *plan.Plan {
	id := instance.New("api")
	state := filepath.Join(root, string(id))
	return &plan.Plan{ID: id, Agent: "api", Paths: plan.Paths{
		State: state, Home: filepath.Join(state, "home"), Run: filepath.Join(state, "run"), Audit: filepath.Join(state, "audit.jsonl"),
		Proposals: filepath.Join(state, "supervise", "proposals.jsonl"),
	}}
}

// place is a directory of a test's own, whose name holds nothing that an engine could take for a word of
// its own, such as a comma.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bot-bottle-suite-") //nolint:usetesting // t.TempDir has the test's name in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// background is the context of a test's own work, which outlives the end of t.Context.
func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (s *suite) prepare(t *testing.T, edit ...func(*plan.Plan)) *bottle {
	t.Helper()
	b := &bottle{t: t, root: place(t)}
	b.d = s.open(t, b.root)
	b.plan = Plan(b.root)
	for _, e := range edit {
		e(b.plan)
	}
	var err error
	if b.h, err = b.d.Prepare(background(t), b.plan); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.d.Teardown(ctx, b.h); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (s *suite) launch(t *testing.T, edit ...func(*plan.Plan)) *bottle {
	t.Helper()
	b := s.prepare(t, edit...)
	report, err := b.d.Launch(background(t), b.h)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Checks) == 0 {
		t.Fatal("the self-check tried nothing")
	}
	return b
}

// run runs a command and returns its exit and output.
func (b *bottle) run(in string, args ...string) (backend.Exit, string, string) {
	b.t.Helper()
	var out, errs bytes.Buffer
	stdio := backend.Stdio{Out: &out, Err: &errs}
	if in != "" {
		stdio.In = strings.NewReader(in)
	}
	exit, err := b.d.Exec(background(b.t), b.h, backend.Command{Args: args, Env: environment()}, stdio)
	if err != nil {
		b.t.Fatalf("cannot run %q: %v", args, err)
	}
	return exit, out.String(), errs.String()
}

// sh runs a script and returns its output; a failing one fails the test.
func (b *bottle) sh(script string, args ...any) string {
	b.t.Helper()
	exit, out, errs := b.run("", "/bin/sh", "-c", fmt.Sprintf(script, args...))
	if exit.Code != 0 {
		b.t.Fatalf("%s\nexit %d\n%s%s", fmt.Sprintf(script, args...), exit.Code, out, errs)
	}
	return strings.TrimSpace(out)
}

func environment() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + plan.Home, "TERM=xterm"}
}

// soon waits for a channel.
func soon[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not happen", what)
		return v
	}
}
