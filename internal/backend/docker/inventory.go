package docker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// runName is the run directory of a run's state; see package store.
const runName = "run"

// rootTag tells the things of one state directory from those of another.
func rootTag(root string) string {
	sum := sha256.Sum256([]byte(root))
	return hex.EncodeToString(sum[:6])
}

// remains is what bottles have in the engine.
type remains struct {
	containers []engine.Found
	volumes    []engine.Volume
}

// ours asks the engine for what belongs to this Root, of one identity or, with "", of all.
func (d *Driver) ours(ctx context.Context, e *engine.Client, id instance.ID) (r remains, err error) {
	filter := []string{labelRoot + "=" + rootTag(d.Root)}
	if id != "" {
		filter = append(filter, labelIdentity+"="+string(id))
	}
	var work errgroup.Group
	work.Go(func() (err error) { r.containers, err = e.List(ctx, filter...); return err })
	work.Go(func() (err error) { r.volumes, err = e.Volumes(ctx, filter...); return err })
	if err := work.Wait(); err != nil {
		return r, fmt.Errorf("cannot look for bottles: %w", err)
	}
	return r, nil
}

func (r remains) remove(ctx context.Context, e *engine.Client) error {
	var errs []error
	for _, c := range r.containers {
		errs = append(errs, e.Remove(ctx, c.ID))
	}
	for _, v := range r.volumes {
		errs = append(errs, e.RemoveVolume(ctx, v.Name))
	}
	return errors.Join(errs...)
}

// absent tells an engine that cannot be asked from one that gives a wrong answer: where none runs,
// nothing of ours runs.
func absent(err error) bool {
	return fault.Is(err, fault.NotFound) || fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Unsupported)
}

// bottle is what one identity has in the world.
type found struct {
	remains
	run       string
	leftovers []string // files of ours in the run directory
}

// surveyLimit is how long an engine may take to list what it has.
const surveyLimit = 10 * time.Second

func (d *Driver) survey(ctx context.Context) (map[instance.ID]*found, *engine.Client, error) {
	all := make(map[instance.ID]*found)
	at := func(id instance.ID) *found {
		if all[id] == nil {
			all[id] = &found{run: filepath.Join(d.Root, string(id), runName)}
		}
		return all[id]
	}
	d.surveyRuns(at)
	e, err := d.engine()
	var r remains
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, surveyLimit)
		r, err = d.ours(limited, e, "")
		late := limited.Err() != nil && ctx.Err() == nil
		cancel()
		if late {
			return nil, nil, fault.WithHint(fault.New(fault.Internal, "cannot see what the engine has: it did not answer within %s", surveyLimit),
				"restart the engine, or name another one in DOCKER_HOST")
		}
	}
	if err != nil {
		if absent(err) {
			return all, nil, nil
		}
		return nil, nil, err
	}
	for _, c := range r.containers {
		if id, err := instance.Parse(c.Labels[labelIdentity]); err == nil {
			at(id).containers = append(at(id).containers, c)
		}
	}
	for _, v := range r.volumes {
		if id, err := instance.Parse(v.Labels[labelIdentity]); err == nil {
			at(id).volumes = append(at(id).volumes, v)
		}
	}
	return all, e, nil
}

// surveyRuns looks for our lock, which every run of this backend has.
func (d *Driver) surveyRuns(at func(instance.ID) *found) {
	states, err := os.ReadDir(d.Root)
	if err != nil {
		return // no state yet
	}
	for _, state := range states {
		id, err := instance.Parse(state.Name())
		if err != nil || !state.IsDir() {
			continue
		}
		name := filepath.Join(d.Root, state.Name(), runName, lockName)
		if _, err := os.Lstat(name); err == nil {
			at(id).leftovers = append(at(id).leftovers, name)
		}
	}
}

// List implements backend.Inventory. Where no engine answers, nothing runs in one.
func (d *Driver) List(ctx context.Context) ([]backend.Entry, error) {
	all, _, err := d.survey(ctx)
	if err != nil {
		return nil, err
	}
	entries := make([]backend.Entry, 0, len(all))
	for id, f := range all {
		h, err := handle(id, f.run)
		if err != nil {
			return nil, err
		}
		e := backend.Entry{Handle: h, What: f.words()}
		for _, c := range f.containers {
			if c.Labels[labelRole] == roleAgent {
				e.Running = c.State == "running"
			}
			if t := time.Unix(c.Created, 0).UTC(); e.Started.IsZero() || t.Before(e.Started) {
				e.Started = t
			}
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b backend.Entry) int { return cmp.Compare(a.Handle.ID, b.Handle.ID) })
	return entries, nil
}

func (f *found) words() []string {
	var what []string
	for _, c := range f.containers {
		name := c.ID[:min(12, len(c.ID))]
		if len(c.Names) > 0 {
			name = strings.TrimPrefix(c.Names[0], "/")
		}
		what = append(what, fmt.Sprintf("container %s (%s)", name, c.State))
	}
	for _, v := range f.volumes {
		what = append(what, "volume "+v.Name)
	}
	for _, name := range f.leftovers {
		what = append(what, "lock "+name)
	}
	return what
}

// Cleanup implements backend.Inventory.
func (d *Driver) Cleanup(ctx context.Context, keep func(instance.ID) bool) (backend.Removed, error) {
	removed := backend.Removed{Items: make(map[instance.ID][]string)}
	all, e, err := d.survey(ctx)
	if err != nil {
		return removed, err
	}
	var errs []error
	for id, f := range all {
		if keep(id) {
			continue
		}
		if l := d.life(id); l != nil {
			err = d.teardownOwn(ctx, l)
		} else {
			if err = nil; e != nil {
				err = f.remove(ctx, e)
			}
			err = errors.Join(err, removeRun(f.run))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot clean up %q: %w", id, err))
			continue
		}
		removed.Items[id] = f.words()
	}
	return removed, errors.Join(errs...)
}
