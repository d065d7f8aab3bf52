package backendtest

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func (s *suite) life(t *testing.T) {
	t.Run("a bottle is prepared, launched, used and torn down", func(t *testing.T) {
		b := s.launch(t)
		if b.h.Backend != b.d.Name() || b.h.ID != b.plan.ID {
			t.Errorf("the handle is of %s %s", b.h.Backend, b.h.ID)
		}
		if exit, _, _ := b.run("", "true"); exit.Code != 0 {
			t.Errorf("true ended with %d", exit.Code)
		}
	})
	t.Run("a home stays and comes back", func(t *testing.T) {
		b := s.launch(t)
		b.copyIn(plan.Home, entry{name: "kept", body: "yes"})
		if err := b.d.Teardown(background(t), b.h); err != nil {
			t.Fatal(err)
		}
		h, err := b.d.Prepare(background(t), b.plan)
		if err != nil {
			t.Fatal(err)
		}
		b.h = h
		if _, err := b.d.Launch(background(t), h); err != nil {
			t.Fatal(err)
		}
		if _, out, _ := b.run("", "cat", plan.Home+"/kept"); out != "yes" {
			t.Errorf("the home holds %q", out)
		}
	})
	t.Run("an identity in use is refused", func(t *testing.T) {
		b := s.prepare(t)
		if _, err := b.d.Prepare(background(t), b.plan); !fault.Is(err, fault.Exists) {
			t.Errorf("a second Prepare: %v", err)
		}
		if _, err := b.d.Launch(background(t), b.h); err != nil {
			t.Errorf("the first was harmed: %v", err)
		}
	})
	t.Run("a second teardown and an unknown handle are success", func(t *testing.T) {
		b := s.launch(t)
		for range 2 {
			if err := b.d.Teardown(background(t), b.h); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.d.Teardown(background(t), backend.Handle{Backend: b.d.Name(), ID: instance.New("other")}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("the end of the control connection ends everything", func(t *testing.T) {
		b := s.launch(t)
		c, err := b.d.Sidecar(background(t), b.h)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		soon(t, b.d.Done(b.h), "the end of the bottle")
		if _, err := b.d.Exec(background(t), b.h, backend.Command{Args: []string{"true"}}, backend.Stdio{}); err == nil {
			t.Error("a command ran in a bottle without a sidecar")
		}
	})
	t.Run("a teardown ends what runs, and Done tells", func(t *testing.T) {
		b := s.launch(t)
		done := b.d.Done(b.h)
		ended := b.start(backend.Command{Args: []string{"sleep", "1000"}}, backend.Stdio{})
		if err := b.d.Teardown(background(t), b.h); err != nil {
			t.Fatal(err)
		}
		soon(t, done, "Done")
		soon(t, ended, "the end of the command")
	})
}

type ended struct {
	exit backend.Exit
	err  error
}

// start runs a command beside the test; it is under way when start returns.
func (b *bottle) start(c backend.Command, stdio backend.Stdio) <-chan ended {
	b.t.Helper()
	over := make(chan ended, 1)
	ctx := background(b.t)
	go func() {
		exit, err := b.d.Exec(ctx, b.h, c, stdio)
		over <- ended{exit, err}
	}()
	return over
}

func (s *suite) failures(t *testing.T) {
	t.Run("a cancelled start leaves nothing", func(t *testing.T) {
		root := place(t)
		d := s.open(t, root)
		p := Plan(root)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := d.Prepare(ctx, p); !errors.Is(err, context.Canceled) {
			t.Errorf("Prepare: %v", err)
		}
		nothing(t, d, p)
	})
	t.Run("a missing mount leaves nothing", func(t *testing.T) {
		root := place(t)
		d := s.open(t, root)
		p := Plan(root)
		p.Mounts = []plan.Mount{{HostPath: root + "/missing", Path: "/missing"}}
		if _, err := d.Prepare(background(t), p); !fault.Is(err, fault.NotFound) {
			t.Errorf("Prepare: %v", err)
		}
		nothing(t, d, p)
	})
	t.Run("an unusable audit path leaves nothing", func(t *testing.T) {
		root := place(t)
		d := s.open(t, root)
		p := Plan(root)
		p.Paths.Audit = root + "/no/such/directory/audit.jsonl"
		if _, err := d.Prepare(background(t), p); err == nil {
			t.Error("Prepare succeeded")
		}
		nothing(t, d, p)
	})
	t.Run("a bottle that was not launched can be torn down", func(t *testing.T) {
		b := s.prepare(t)
		if err := b.d.Teardown(background(t), b.h); err != nil {
			t.Fatal(err)
		}
		nothing(t, b.d, b.plan)
	})
	t.Run("a second launch is refused", func(t *testing.T) {
		b := s.launch(t)
		if _, err := b.d.Launch(background(t), b.h); err == nil {
			t.Error("it was launched twice")
		}
	})
}

// nothing checks that no part of a run is left in the world.
func nothing(t *testing.T, d backend.Driver, p *plan.Plan) {
	t.Helper()
	entries, err := d.List(background(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Handle.ID == p.ID {
			t.Errorf("left behind: %v", e.What)
		}
	}
	if _, err := os.Stat(p.Paths.Run); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the run directory is left behind: %v", err)
	}
}

func (s *suite) inventory(t *testing.T) {
	t.Run("a running bottle is listed, a gone one is not", func(t *testing.T) {
		b := s.launch(t)
		entries, err := b.d.List(background(t))
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 1 || entries[0].Handle.ID != b.plan.ID || !entries[0].Running || entries[0].Started.IsZero() || len(entries[0].What) == 0 {
			t.Errorf("listed: %+v", entries)
		}
		if err := b.d.Teardown(background(t), b.h); err != nil {
			t.Fatal(err)
		}
		nothing(t, b.d, b.plan)
	})
	if s.o.Shell { // an in-process backend has no other process
		t.Run("another driver finds, uses and ends it", s.stranger)
	}
	t.Run("cleanup keeps what is to be kept and removes the rest", func(t *testing.T) {
		b := s.launch(t)
		all := func(instance.ID) bool { return true }
		if removed, err := b.d.Cleanup(background(t), all); err != nil || len(removed.Items) != 0 {
			t.Errorf("removed %v, %v", removed.Items, err)
		}
		b.run("", "true")
		none := func(instance.ID) bool { return false }
		removed, err := b.d.Cleanup(background(t), none)
		if err != nil || len(removed.Items[b.plan.ID]) == 0 {
			t.Errorf("removed %v, %v", removed.Items, err)
		}
		nothing(t, b.d, b.plan)
	})
}

func (s *suite) stranger(t *testing.T) {
	b := s.launch(t)
	other := s.open(t, b.root)
	entries, err := other.List(background(t))
	if err != nil || len(entries) != 1 {
		t.Fatalf("listed: %+v, %v", entries, err)
	}
	h := entries[0].Handle
	if exit, err := other.Exec(background(t), h, backend.Command{Args: []string{"false"}}, backend.Stdio{}); err != nil || exit.Code != 1 {
		t.Errorf("false ended with %+v, %v", exit, err)
	}
	if err := other.Teardown(background(t), h); err != nil {
		t.Fatal(err)
	}
	soon(t, b.d.Done(b.h), "the end of the bottle")
}

func (s *suite) parallel(t *testing.T) {
	root := place(t)
	d := s.open(t, root)
	var lives sync.WaitGroup
	for range 8 {
		lives.Go(func() {
			p := Plan(root)
			ctx := background(t)
			h, err := d.Prepare(ctx, p)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := d.Launch(ctx, h); err != nil {
				t.Error(err)
			} else if exit, err := d.Exec(ctx, h, backend.Command{Args: []string{"true"}}, backend.Stdio{}); err != nil || exit.Code != 0 {
				t.Errorf("true ended with %+v, %v", exit, err)
			}
			if err := d.Teardown(ctx, h); err != nil {
				t.Error(err)
			}
			nothing(t, d, p)
		})
	}
	lives.Wait()
}

func (s *suite) honesty(t *testing.T) {
	t.Run("it probes quickly and twice the same", func(t *testing.T) {
		d := s.open(t, place(t))
		c, err := d.Probe(background(t))
		if err != nil {
			t.Fatal(err)
		}
		if !c.Works || c.Isolation == "" {
			t.Errorf("it says %+v and yet is tested", c)
		}
		for _, p := range c.Problems {
			if p.Required {
				t.Errorf("it works without what it requires: %+v", p)
			}
		}
	})
	t.Run("an unknown need is refused", func(t *testing.T) {
		root := place(t)
		d := s.open(t, root)
		p := Plan(root)
		p.Needs = []string{"time-travel"}
		if _, err := d.Prepare(background(t), p); !fault.Is(err, fault.Unsupported) {
			t.Errorf("Prepare: %v", err)
		}
		nothing(t, d, p)
	})
	t.Run("every feature can be had", func(t *testing.T) {
		root := place(t)
		d := s.open(t, root)
		c, err := d.Probe(background(t))
		if err != nil {
			t.Fatal(err)
		}
		s.launch(t, func(p *plan.Plan) { p.Needs = c.Features })
	})
}
