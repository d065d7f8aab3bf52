package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// runName is the run directory of a run's state; see package store.
const runName = "run"

// remains is what one bottle has in the world.
type remains struct {
	run       string
	record    record
	guests    []process
	others    []process
	sockets   []string
	cgroups   []string
	recorded  bool
	leftovers bool
}

// List implements backend.Inventory: processes by their title, run directories by what is in
// them, cgroups by their name, all of this Root.
func (d *Driver) List(context.Context) ([]backend.Entry, error) {
	found, err := d.survey()
	if err != nil {
		return nil, err
	}
	var entries []backend.Entry
	for id, r := range found {
		h, err := handle(id, r.run)
		if err != nil {
			return nil, err
		}
		entries = append(entries, backend.Entry{
			Handle: h, Running: len(r.guests) > 0, Started: r.record.Started, What: r.words(),
		})
	}
	slices.SortFunc(entries, func(a, b backend.Entry) int { return strings.Compare(string(a.Handle.ID), string(b.Handle.ID)) })
	return entries, nil
}

// Cleanup implements backend.Inventory.
func (d *Driver) Cleanup(ctx context.Context, keep func(instance.ID) bool) (backend.Removed, error) {
	removed := backend.Removed{Items: make(map[instance.ID][]string)}
	found, err := d.survey()
	if err != nil {
		return removed, err
	}
	var errs []error
	for id, r := range found {
		if keep(id) {
			continue
		}
		if l := d.life(id); l != nil {
			err = d.teardownOwn(ctx, l)
		} else {
			err = r.remove(ctx)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot clean up %q: %w", id, err))
			continue
		}
		removed.Items[id] = r.words()
	}
	return removed, errors.Join(errs...)
}

func (r *remains) remove(ctx context.Context) error {
	var errs []error
	for _, p := range slices.Concat(r.guests, r.others) {
		errs = append(errs, p.kill(ctx))
	}
	errs = append(errs, removeCgroups(ctx, r.cgroups))
	if r.leftovers {
		errs = append(errs, removeRun(r.run))
	}
	return errors.Join(errs...)
}

func (r *remains) words() []string {
	var what []string
	for _, p := range r.guests {
		what = append(what, fmt.Sprintf("process %d (the bottle)", p.PID))
	}
	for _, p := range r.others {
		what = append(what, fmt.Sprintf("process %d (the sidecar)", p.PID))
	}
	for _, s := range r.sockets {
		what = append(what, "socket "+s)
	}
	for _, c := range r.cgroups {
		what = append(what, "cgroup "+c)
	}
	if r.recorded {
		what = append(what, "record "+filepath.Join(r.run, recordName))
	}
	return what
}

type survey map[instance.ID]*remains

func (s survey) at(id instance.ID, root string) *remains {
	if s[id] == nil {
		s[id] = &remains{run: filepath.Join(root, string(id), runName)}
	}
	return s[id]
}

func (d *Driver) survey() (survey, error) {
	found := make(survey)
	d.surveyRuns(found)
	if err := d.surveyProcesses(found); err != nil {
		return nil, err
	}
	d.surveyCgroups(found)
	return found, nil
}

// surveyRuns looks for files of ours. Nothing is taken from their content but a time: what is
// killed is found by surveyProcesses.
func (d *Driver) surveyRuns(found survey) {
	states, err := os.ReadDir(d.root)
	if err != nil {
		return // no state yet
	}
	for _, state := range states {
		id, err := instance.Parse(state.Name())
		if err != nil || !state.IsDir() {
			continue
		}
		run := filepath.Join(d.root, state.Name(), runName)
		for _, name := range []string{guestName, sidecarName, recordName, lockName} {
			path := filepath.Join(run, name)
			info, err := os.Lstat(path)
			if err != nil {
				continue
			}
			r := found.at(id, d.root)
			r.leftovers = true
			if info.Mode().Type() == fs.ModeSocket {
				r.sockets = append(r.sockets, path)
			}
			if name == recordName {
				r.recorded = true
				r.record, _ = readRecord(run)
			}
		}
	}
}

// surveyProcesses looks for our title among the processes of this user. An agent can give its own
// processes any title, so what counts beside it is the kernel's word: a guest is the first process
// of a namespace of its own, and a sidecar is in none, and of neither kind can an agent make one.
func (d *Driver) surveyProcesses(found survey) error {
	numbers, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("cannot look for bottles: %w", err)
	}
	depth := namespaceDepth("self")
	for _, n := range numbers {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		id, ok := d.titled(n.Name())
		if !ok {
			continue
		}
		p, err := identify(pid)
		if err != nil {
			continue // it has ended
		}
		if again, ok := d.titled(n.Name()); !ok || again != id {
			continue
		}
		r := found.at(id, d.root)
		switch level := namespaceDepth(n.Name()); {
		case level.depth == depth.depth+1 && level.inner == 1 && ours(level.uid):
			r.guests = append(r.guests, p)
		case level.depth == depth.depth && level.uid == os.Geteuid():
			r.others = append(r.others, p)
		}
		if r.record.Started.IsZero() {
			r.record.Started = startedAt(n.Name())
		}
	}
	for id, r := range found {
		if len(r.guests)+len(r.others) == 0 && !r.leftovers {
			delete(found, id) // a liar
		}
	}
	return nil
}

// ours tells whether a guest's user is one that this caller gives to bottles.
func ours(uid int) bool {
	if os.Geteuid() != 0 {
		return uid == os.Geteuid()
	}
	return uid >= firstID && uid < firstID+idCount
}

func (d *Driver) titled(pid string) (instance.ID, bool) {
	line, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil {
		return "", false
	}
	name, _, _ := strings.Cut(string(line), "\x00")
	name, ok := strings.CutPrefix(name, titlePrefix+rootTag(d.root)+":")
	if !ok {
		return "", false
	}
	id, err := instance.Parse(name)
	return id, err == nil
}

// level is where a process is among the pid namespaces, and whose it is.
type level struct{ depth, inner, uid int }

func namespaceDepth(pid string) level {
	l := level{depth: -1, uid: -1}
	content, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return l
	}
	for line := range strings.SplitSeq(string(content), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "NSpid:":
			l.depth = len(fields) - 1
			l.inner, _ = strconv.Atoi(fields[len(fields)-1])
		case "Uid:":
			l.uid, _ = strconv.Atoi(fields[2]) // the effective one
		}
	}
	return l
}

func startedAt(pid string) time.Time {
	info, err := os.Stat("/proc/" + pid)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime().UTC()
}

func (d *Driver) surveyCgroups(found survey) {
	prefix := cgroupPrefix + rootTag(d.root) + "-"
	for _, c := range ownControllers() {
		dirs, err := os.ReadDir(c.dir)
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			name, ok := strings.CutPrefix(dir.Name(), prefix)
			if id, err := instance.Parse(name); ok && err == nil && dir.IsDir() {
				r := found.at(id, d.root)
				path := filepath.Join(c.dir, dir.Name())
				if !slices.Contains(r.cgroups, path) {
					r.cgroups = append(r.cgroups, path)
				}
			}
		}
	}
}
