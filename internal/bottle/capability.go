package bottle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// farewellTime is how long the agent has to read that its bottle ends for an approved capability,
// and endTime how long it has to end when it is told to.
const (
	farewellTime = 3 * time.Second
	endTime      = 10 * time.Second
)

// ApplyCapabilities brings what was approved in a run into its state: the last Dockerfile, every
// package. It reads the journal and writes what differs, so that it can be cut short and done again;
// changed is true where there was something to write.
func ApplyCapabilities(run *store.Run) (changed bool, err error) {
	all, err := desk.Read(run.Paths().Proposals, run.ID)
	if err != nil {
		return false, err
	}
	slices.SortStableFunc(all, func(a, b ask.Proposal) int { return a.DecidedAt.Compare(b.DecidedAt) })
	var dockerfile string
	var packages []ask.Package
	for _, p := range all {
		c, ok := granted(p)
		if !ok {
			continue
		}
		if c.Dockerfile != "" {
			dockerfile = c.Dockerfile
		}
		for _, one := range c.Packages {
			if !slices.Contains(packages, one) {
				packages = append(packages, one)
			}
		}
	}
	if dockerfile != "" {
		if changed, err = replace(run, run.Dockerfile(), []byte(dockerfile)); err != nil {
			return changed, err
		}
	}
	if len(packages) > 0 {
		text, err := json.MarshalIndent(packages, "", "  ")
		if err != nil {
			return changed, err
		}
		more, err := replace(run, run.Packages(), append(text, '\n'))
		return changed || more, err
	}
	return changed, nil
}

// granted is the change that a proposal stands for, where it is an approved one.
func granted(p ask.Proposal) (c ask.CapabilityChange, ok bool) {
	if p.Kind != ask.Capability || p.State != ask.Granted && p.State != ask.Modified {
		return c, false
	}
	err := control.Decode(p.Answer.Candidate, &c)
	return c, err == nil && c.Check() == nil
}

func replace(run *store.Run, file string, content []byte) (bool, error) {
	old, err := os.ReadFile(file)
	if err == nil && bytes.Equal(old, content) {
		return false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fault.New(fault.Internal, "cannot read %s: %w", file, err)
	}
	return true, run.Write(file, content)
}

// Packages are those that were approved in a run.
func Packages(run *store.Run) ([]ask.Package, error) { return packagesIn(run.Packages()) }

func packagesIn(file string) ([]ask.Package, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []ask.Package
	if err == nil {
		err = control.Decode(raw, &all)
	}
	if err == nil && len(all) > 0 {
		err = ask.CapabilityChange{Packages: all[:min(len(all), 32)]}.Check()
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "cannot use %s: %w", file, err)
	}
	return all, nil
}

// install puts the approved packages into the bottle's home, as the agent's user and through the
// bottle's own way out. What cannot be installed is said and tried again at the next start.
func (r *running) install(ctx context.Context) error {
	have, err := packagesIn(r.run.Installed())
	if err != nil {
		return err
	}
	for _, p := range r.Plan.Capability.Packages {
		if slices.Contains(have, p) {
			continue
		}
		prefix := path.Join(plan.Home, ".local")
		args := []string{"npm", "install", "--global", "--no-fund", "--no-audit", "--prefix", prefix, "--", p.Name}
		if p.Manager == "pip" {
			args = []string{"pip", "install", "--user", "--break-system-packages", "--disable-pip-version-check", "--", p.Name}
		}
		r.Progress("installing %s with %s in the bottle …", p.Name, p.Manager)
		if err := r.step(ctx, plan.Command{Args: args, Dir: plan.Home}); err != nil {
			r.Progress("%v", fmt.Errorf("cannot install %s: %w", p.Name, err))
			continue
		}
		have = append(have, p)
		text, err := json.Marshal(have)
		if err == nil {
			err = r.run.Write(r.run.Installed(), text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// watchCapability ends the agent when the operator has approved what its bottle is made of
// anew: it has a moment to read so. The returned function ends the watch.
func (r *running) watchCapability(ctx context.Context) (end func()) {
	operable, ok := r.Driver.(backend.Operable)
	if !ok || r.Plan.Capability.Form == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := operable.Operate(ctx, r.handle)
		if err != nil {
			r.Progress("an approved capability will not end this run: %v", err)
			return
		}
		client := control.NewClient(conn)
		defer func() { _ = client.Close() }()
		if approvedSince(ctx, client, r.begun) {
			r.endForCapability(ctx)
		}
	}()
	return func() { cancel(); <-done }
}

// approvedSince waits until a capability is approved.
func approvedSince(ctx context.Context, client *control.Client, begun time.Time) bool {
	for since := uint64(0); ; {
		now, err := client.Proposals(ctx, since)
		if err != nil {
			return false
		}
		since = now.Revision
		for _, p := range now.Proposals {
			if p.Kind == ask.Capability && p.DecidedAt.After(begun) && (p.State == ask.Granted || p.State == ask.Modified) {
				return true
			}
		}
	}
}

func (r *running) endForCapability(ctx context.Context) {
	for _, step := range []struct {
		after  time.Duration
		signal string
	}{{farewellTime, "TERM"}, {endTime, "KILL"}} {
		timer := time.NewTimer(step.after)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		note := audit.Event{Kind: "lifecycle", Message: "the agent is ended for an approved capability", Reason: step.signal}
		if err := r.sidecar.Note(ctx, note); err != nil {
			r.Progress("cannot write the audit log: %v", err)
		}
		if err := r.Driver.Signal(ctx, r.handle, step.signal); err != nil {
			r.Progress("cannot end the agent for an approved capability: %v", err)
		}
	}
}
