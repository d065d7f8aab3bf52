package bottle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/fake"
	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/ca"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

const id = instance.ID("work-abc12")

var errAsked = errors.New("as asked")

// driver is the fake with the power to trust, which may fail too.
type driver struct {
	*fake.Driver
	fail func(step string) error
}

func (d driver) Trust(context.Context, backend.Handle, string) error { return d.fail("trust") }

func (d driver) CopyIn(ctx context.Context, h backend.Handle, dir string, r io.Reader) error {
	if err := d.fail("copy in"); err != nil {
		return err
	}
	return d.Driver.CopyIn(ctx, h, dir, r)
}

// sidecar answers without serving.
type sidecar struct {
	conn net.Conn
	fail func(step string) error
}

func (s sidecar) Configure(context.Context, control.Config, map[string]secret.String) (control.Ready, error) {
	authority, err := ca.New("a test", time.Now)
	if err != nil {
		return control.Ready{}, err
	}
	return control.Ready{CACertificate: string(authority.CertificatePEM())}, s.fail("configure")
}
func (s sidecar) Renew(context.Context, string, secret.String) error { return s.fail("renew") }
func (s sidecar) Note(context.Context, audit.Event) error            { return s.fail("note") }
func (s sidecar) Close() error                                       { return errors.Join(s.fail("close"), s.conn.Close()) }

// world is a home, a driver that may fail at one step, and an agent.
type world struct {
	deps   bottle.Deps
	driver driver
	run    *store.Run
	launch bottle.Launch
}

func newWorld(t *testing.T, failing string, agent fake.Program) *world {
	t.Helper()
	home, err := store.Locate(func(name string) string { return map[string]string{"HOME": t.TempDir()}[name] })
	if err != nil {
		t.Fatal(err)
	}
	fail := func(step string) error {
		if step == failing {
			return errAsked
		}
		return nil
	}
	d := driver{fake.New(fake.Config{Programs: map[string]fake.Program{"agent": agent}, Fail: fail}), fail}
	run := home.Run(id)
	return &world{
		driver: d, run: run,
		deps: bottle.Deps{
			Home: home, Driver: d, Progress: func(string, ...any) {},
			Control: func(c net.Conn) bottle.Sidecar { return sidecar{c, fail} },
		},
		launch: bottle.Launch{
			Plan: &plan.Plan{
				ID: id, Agent: "work", Paths: run.Paths(), Headless: true, Command: plan.Command{Args: []string{"agent"}, Dir: plan.Home},
				Prompt: plan.Prompt{Text: "Be brief."}, Files: []plan.File{{Path: plan.Home + "/.rc", Mode: 0o600, Content: "x\n"}},
			},
			Record:     store.Record{Identity: id, AgentName: "work", Backend: fake.Name, StartedAt: time.Now().UTC()},
			Transcript: ".sessions",
			Streams: func(bottle.Timing) (backend.Stdio, error) {
				if err := fail("streams"); err != nil {
					return backend.Stdio{}, err
				}
				return backend.Stdio{}, nil
			},
		},
	}
}

// settled fails the test where something runs, or a lock is held.
func (w *world) settled(t *testing.T) {
	t.Helper()
	entries, err := w.driver.List(context.Background())
	if err != nil || len(entries) > 0 {
		t.Errorf("the backend still has %+v, %v", entries, err)
	}
	if w.run.Running() {
		t.Error("the run is still owned")
	}
}

func ends(code int) fake.Program {
	return func(context.Context, backend.Command, string, backend.Stdio) backend.Exit {
		return backend.Exit{Code: code}
	}
}

func TestAFailureBeforeTheAgentLeavesNothing(t *testing.T) {
	for _, step := range []string{"prepare", "configure", "trust", "launch", "copy in"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, step, func(context.Context, backend.Command, string, backend.Stdio) backend.Exit {
				t.Error("the agent ran")
				return backend.Exit{}
			})
			out, err := w.deps.Start(t.Context(), w.launch)
			if !errors.Is(err, errAsked) && (err == nil || !strings.Contains(err.Error(), errAsked.Error())) {
				t.Errorf("the cause is lost: %v", err)
			}
			if out.Kept {
				t.Errorf("kept: %s", out.Why)
			}
			w.settled(t)
			if _, err := os.Stat(w.run.Dir()); !os.IsNotExist(err) {
				t.Errorf("the state is left: %v", err)
			}
		})
	}
}

func TestAFailedResumeLosesNothing(t *testing.T) {
	for _, step := range []string{"prepare", "configure", "trust", "launch", "copy in"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, step, ends(0))
			treasure := filepath.Join(w.run.Paths().Home, "work")
			if err := w.run.Own(w.launch.Record); err != nil {
				t.Fatal(err)
			}
			w.run.Unlock()
			if err := errors.Join(w.run.Preserve("before"), os.WriteFile(treasure, []byte("mine"), 0o600)); err != nil {
				t.Fatal(err)
			}
			w.launch.Plan.Resume = true
			if _, err := w.deps.Start(t.Context(), w.launch); err == nil {
				t.Error("it did not fail")
			}
			w.settled(t)
			if got, err := os.ReadFile(treasure); string(got) != "mine" || !w.run.Preserved() {
				t.Errorf("%q, %v, preserved: %v", got, err, w.run.Preserved())
			}
		})
	}
}

func TestSettling(t *testing.T) {
	writes := func(code int) fake.Program {
		return func(_ context.Context, _ backend.Command, home string, _ backend.Stdio) backend.Exit {
			dir := filepath.Join(home, ".sessions", "p")
			if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "one.jsonl"), []byte("{}\n"), 0o600)); err != nil {
				return backend.Exit{Code: 99}
			}
			return backend.Exit{Code: code}
		}
	}
	for _, tt := range []struct {
		name  string
		agent fake.Program
		kept  bool
		why   string
	}{
		{"a good end leaves nothing", ends(0), false, ""},
		{"a bad end is kept", ends(7), true, "the agent ended with 7"},
		{"with the transcript beside it", writes(1), true, "the agent ended with 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "", tt.agent)
			out, err := w.deps.Start(t.Context(), w.launch)
			if err != nil || out.Kept != tt.kept || out.Why != tt.why {
				t.Errorf("%+v, %v", out, err)
			}
			w.settled(t)
			if w.run.Preserved() != tt.kept {
				t.Errorf("preserved: %v", w.run.Preserved())
			}
			_, err = os.Stat(filepath.Join(w.run.Transcript(), "p", "one.jsonl"))
			if want := strings.Contains(tt.name, "transcript"); (err == nil) != want {
				t.Errorf("transcript: %v", err)
			}
		})
	}
}

// recorder is a sidecar that writes a log.
type recorder struct {
	sidecar
	path string
	log  *audit.Log
	dies bool // without finishing it
}

func (r *recorder) Configure(ctx context.Context, c control.Config, s map[string]secret.String) (control.Ready, error) {
	file, err := os.OpenFile(r.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return control.Ready{}, err
	}
	head := audit.Genesis(string(c.ID))
	if c.Audit != nil {
		head = *c.Audit
	}
	r.log = audit.NewLog(file, head, nil)
	return r.sidecar.Configure(ctx, c, s)
}

func (r *recorder) Note(_ context.Context, e audit.Event) error {
	r.log.Record(e)
	return nil
}

func (r *recorder) Close() error {
	if !r.dies {
		r.log.Record(audit.Event{Kind: "lifecycle", Message: audit.Closing})
	}
	return errors.Join(r.log.Close(), r.sidecar.Close())
}

func TestTheLogOfAKeptRunIsSealedAndGoesOnOverAResume(t *testing.T) {
	w := newWorld(t, "", ends(1))
	dies := true
	w.deps.Control = func(c net.Conn) bottle.Sidecar {
		return &recorder{sidecar: sidecar{c, w.driver.fail}, path: w.run.Paths().Audit, dies: dies}
	}
	verify := func() audit.Report {
		t.Helper()
		proof, err := w.run.Proof()
		if err != nil || proof.Sealed == nil {
			t.Fatalf("there is no seal: %v", err)
		}
		r, err := audit.Verify(t.Context(), w.run.Paths().Audit, proof)
		if err != nil || !r.Sealed || len(r.Breaks) > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		return r
	}
	out, err := w.deps.Start(t.Context(), w.launch)
	if err != nil || !out.Kept {
		t.Fatalf("%+v, %v", out, err)
	}
	first := verify()
	if first.Head != out.Log || !strings.Contains(first.Last.Reason, "good order") {
		t.Errorf("the seal of a killed sidecar is %+v", first)
	}
	dies, w.launch.Plan.Resume = false, true
	if out, err = w.deps.Start(t.Context(), w.launch); err != nil || !out.Kept {
		t.Fatalf("%+v, %v", out, err)
	}
	if second := verify(); second.Head != out.Log || second.Last.Reason != "" || second.Lines <= first.Lines {
		t.Errorf("the second seal is %+v", second)
	}
	if err := os.Truncate(w.run.Paths().Audit, 100); err != nil {
		t.Fatal(err)
	}
	if _, err = w.deps.Start(t.Context(), w.launch); err != nil {
		t.Fatal(err)
	}
	verify()
	alarms := 0
	for e, err := range audit.Read(t.Context(), w.run.Paths().Audit, audit.Filter{Kinds: []string{"alarm"}}, false) {
		if err == nil && strings.Contains(e.Message, "the end is missing") {
			alarms++
		}
	}
	if alarms != 1 {
		t.Errorf("%d alarms tell that the log was cut", alarms)
	}
}

func TestAnInterruptKeepsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld(t, "", func(ctx context.Context, _ backend.Command, _ string, _ backend.Stdio) backend.Exit {
		cancel()
		<-ctx.Done()
		return backend.Exit{Code: 143, Signal: "terminated"}
	})
	out, err := w.deps.Start(ctx, w.launch)
	if !fault.Is(err, fault.Canceled) || !out.Kept || out.Why != "it was interrupted" {
		t.Errorf("%+v, %v", out, err)
	}
	w.settled(t)
}

func TestAWayOutEndsTheStart(t *testing.T) {
	w := newWorld(t, "", ends(0))
	w.driver.Driver = fake.New(fake.Config{Checks: []backend.Check{{Name: "outside address", How: "connected"}}})
	w.deps.Driver = w.driver
	out, err := w.deps.Start(t.Context(), w.launch)
	if err == nil || !strings.Contains(err.Error(), "outside address") || out.Kept {
		t.Errorf("%+v, %v", out, err)
	}
	w.settled(t)
}

func TestKeysOfARunAreMadeAndRevokedByItsOwner(t *testing.T) {
	for _, err := range []error{nil, errAsked} {
		w := newWorld(t, "", ends(0))
		var order []string
		w.launch.Fresh = func(context.Context) (map[string]secret.String, error) {
			order = append(order, fmt.Sprint("made ", w.run.Running()))
			return nil, err
		}
		w.launch.Revoke = func(context.Context) error {
			order = append(order, fmt.Sprint("revoked ", w.run.Running()))
			return nil
		}
		if _, got := w.deps.Start(t.Context(), w.launch); !errors.Is(got, err) {
			t.Errorf("%v", got)
		}
		if strings.Join(order, ", ") != "made true, revoked true" {
			t.Errorf("with %v: %q", err, order)
		}
		w.settled(t)
		if _, err := os.Stat(w.run.Dir()); !os.IsNotExist(err) {
			t.Errorf("the state is left: %v", err)
		}
	}
}

func TestWhoIsToldOfARunFindsIt(t *testing.T) {
	for _, want := range []error{nil, errAsked} {
		w := newWorld(t, "", ends(0))
		w.launch.Owned = func() error {
			if _, err := w.deps.Home.Find(id); err != nil || !w.run.Running() {
				t.Errorf("it is not there yet: %v", err)
			}
			return want
		}
		made := false
		w.launch.Fresh = func(context.Context) (map[string]secret.String, error) { made = true; return nil, nil }
		if _, err := w.deps.Start(t.Context(), w.launch); !errors.Is(err, want) || made != (want == nil) {
			t.Errorf("%v, went on: %v", err, made)
		}
		w.settled(t)
		if _, err := os.Stat(w.run.Dir()); !os.IsNotExist(err) {
			t.Errorf("the state is left: %v", err)
		}
	}
}

func TestASecondOwnerIsRefused(t *testing.T) {
	w := newWorld(t, "", ends(0))
	other := w.deps.Home.Run(id)
	if err := other.Own(w.launch.Record); err != nil {
		t.Fatal(err)
	}
	defer other.Unlock()
	w.launch.Fresh = func(context.Context) (map[string]secret.String, error) { t.Error("it made keys"); return nil, nil }
	w.launch.Revoke = func(context.Context) error { t.Error("it revoked the owner's keys"); return nil }
	if _, err := w.deps.Start(t.Context(), w.launch); !fault.Is(err, fault.Exists) {
		t.Errorf("start: %v", err)
	}
	w.launch.Plan.Resume = true
	if _, err := w.deps.Start(t.Context(), w.launch); !fault.Is(err, fault.Busy) {
		t.Errorf("resume: %v", err)
	}
	if err := w.deps.Remove(t.Context(), []instance.ID{id}); !fault.Is(err, fault.Busy) {
		t.Errorf("remove: %v", err)
	}
	if _, err := other.ReadRecord(); err != nil {
		t.Errorf("the owner's record: %v", err)
	}
}
