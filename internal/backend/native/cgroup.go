package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

const (
	cgroupRoot   = "/sys/fs/cgroup"
	cgroupPrefix = "bot-bottle-"
)

// controller is a place where this process may make a group with one kind of limit.
type controller struct {
	name string // "pids", "memory" or "cpu"
	dir  string
	file string // of the limit
}

// controllers finds the groups in which limits can be set, by this process's own membership; see
// cgroups(7). Neither version, nor any right to use it, is a given.
func controllers(root, membership string) []controller {
	var found []controller
	for line := range strings.SplitSeq(strings.TrimSpace(membership), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[1] == "" {
			found = append(found, unified(root, parts[2])...)
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			if c, ok := legacy(root, name, parts[2]); ok {
				found = append(found, c)
			}
		}
	}
	return found
}

func legacy(root, name, path string) (controller, bool) {
	files := map[string]string{"pids": "pids.max", "memory": "memory.limit_in_bytes", "cpu": "cpu.cfs_quota_us"}
	dir := filepath.Join(root, name, path)
	if _, err := os.Stat(dir); err != nil {
		dir = filepath.Join(root, name)
	}
	c := controller{name, dir, files[name]}
	return c, c.file != "" && unix.Access(dir, unix.W_OK) == nil
}

// unified uses the parent of our own group, beside which a new one may hold processes.
func unified(root, path string) []controller {
	dir := filepath.Join(root, filepath.Dir(path))
	if unix.Access(dir, unix.W_OK) != nil || unix.Access(filepath.Join(dir, "cgroup.procs"), unix.W_OK) != nil {
		return nil
	}
	enabled, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return nil
	}
	var found []controller
	for name := range strings.FieldsSeq(string(enabled)) {
		if name == "pids" || name == "memory" || name == "cpu" {
			found = append(found, controller{name, dir, name + ".max"})
		}
	}
	return found
}

func ownControllers() []controller {
	membership, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	return controllers(cgroupRoot, string(membership))
}

// quotaOfOne is a processor's time in a period of the scheduler's, 100 ms unless somebody changes it, in
// microseconds; both versions take one number for the quota and keep the period.
const quotaOfOne = 100_000

// confine puts the guest, which has no children yet, into groups with the plan's limits. The
// number of processes is bounded by an rlimit in any case; memory is bounded here or nowhere, so
// a plan that asks for it and cannot have it does not start.
func (d *Driver) confine(l *life, p *plan.Plan) error {
	limits := map[string]int64{"memory": p.Limits.MemoryBytes, "pids": int64(p.Limits.Processes), "cpu": p.Limits.MilliCPUs * quotaOfOne / 1000}
	for _, c := range ownControllers() {
		limit := limits[c.name]
		unasked := limit == 0 && c.name == "memory"
		if unasked {
			limit = usualMemory()
		}
		if limit == 0 {
			continue
		}
		dir := filepath.Join(c.dir, d.cgroupName(l.id))
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // cgroupfs shows only limits and counters
			continue // not ours to make after all; what it was for is checked below
		}
		l.cgroups = append(l.cgroups, dir)
		if err := c.limit(dir, limit, l.guest.process.PID); err != nil && !unasked {
			return fmt.Errorf("cannot limit %s of %q: %w", c.name, l.id, err)
		}
		delete(limits, c.name)
	}
	for _, name := range []string{"memory", "cpu"} {
		if limits[name] > 0 {
			return fault.WithHint(fault.New(fault.Unsupported, "cannot limit the %s of %q: no cgroup may be made here", name, l.id),
				"run it as root or with a delegated %s controller, or take the limit out of the plan", name)
		}
	}
	return nil
}

// usualMemory is what a bottle may have where its plan says nothing: three quarters of the
// machine's, so that it is the bottle that ends and not what the host needs; 0 where that is unknown.
func usualMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit) / 4 * 3) //nolint:unconvert // its size differs by architecture
}

func (c controller) limit(dir string, limit int64, pid int) error {
	if err := os.WriteFile(filepath.Join(dir, c.file), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// cgroupName tells whose bottle it is: another user's state has other names.
func (d *Driver) cgroupName(id instance.ID) string {
	return cgroupPrefix + rootTag(d.root) + "-" + string(id)
}

// removeCgroups removes groups whose processes have been killed. The kernel may still be busy
// with the last of them; cgroup.procs says when it is not.
func removeCgroups(ctx context.Context, dirs []string) error {
	var errs []error
	for _, dir := range dirs {
		for {
			err := unix.Rmdir(dir)
			if err == nil || err == unix.ENOENT {
				break
			}
			if err != unix.EBUSY || ctx.Err() != nil {
				errs = append(errs, &os.PathError{Op: "rmdir", Path: dir, Err: err})
				break
			}
			if members, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err != nil || len(members) > 0 {
				errs = append(errs, fmt.Errorf("cannot remove %s: it has processes: %w", dir, unix.EBUSY))
				break
			}
		}
	}
	return errors.Join(errs...)
}
