package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

const quiet = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

type options = map[string]string

// privateMounts makes the file systems that are the bottle's own.
func (r *root) privateMounts() error {
	for _, m := range []struct {
		target string
		flags  int
		opts   options
	}{
		{"/dev", unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, options{"mode": "755", "size": "1m"}},
		{"/dev/shm", quiet, options{"mode": "1777", "size": "25%"}},
		{"/tmp", quiet, options{"mode": "1777", "size": "25%"}},
		{"/run", quiet, options{"mode": "755", "size": "64m"}},
	} {
		if err := r.mount("tmpfs", m.target, m.flags, m.opts); err != nil {
			return err
		}
	}
	err := r.mount("devpts", "/dev/pts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC,
		options{"ptmxmode": "0666", "mode": "0620"})
	if err != nil {
		return err
	}
	return r.links([]wire.Link{
		{Path: "/dev/ptmx", To: "pts/ptmx"},
		{Path: "/dev/fd", To: "/proc/self/fd"},
		{Path: "/dev/stdin", To: "/proc/self/fd/0"},
		{Path: "/dev/stdout", To: "/proc/self/fd/1"},
		{Path: "/dev/stderr", To: "/proc/self/fd/2"},
		{Path: "/var/run", To: "/run"},
		{Path: "/var/tmp", To: "/tmp"},
	})
}

// What /proc shows of the host and not of the bottle: hidden, or not to be written.
var (
	hiddenFiles = [...]string{
		"kcore", "keys", "kmsg", "latency_stats", "sched_debug", "sysrq-trigger", "timer_list", "timer_stats",
	}
	hiddenDirs = [...]string{"acpi", "asound", "scsi", "thermal"}
	fixedDirs  = [...]string{"bus", "fs", "irq", "sys", "driver"}
)

func (r *root) proc() error {
	if err := r.mount("proc", "/proc", quiet|unix.MOUNT_ATTR_NOEXEC, nil); err != nil {
		return err
	}
	for _, name := range hiddenFiles {
		if err := r.mask("/proc/"+name, "/dev/null", false); err != nil {
			return err
		}
	}
	for _, name := range hiddenDirs {
		if !r.exists("/proc/" + name) {
			continue
		}
		err := r.mount("tmpfs", "/proc/"+name, quiet|unix.MOUNT_ATTR_NOEXEC|unix.MOUNT_ATTR_RDONLY, options{"size": "4k", "mode": "555"})
		if err != nil {
			return err
		}
	}
	for _, name := range fixedDirs {
		if err := r.mask("/proc/"+name, "/proc/"+name, true); err != nil {
			return err
		}
	}
	return nil
}

func (r *root) exists(name string) bool {
	fd, err := r.open(name, unix.O_PATH)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// mask puts a read-only copy of source, without devices, over target; a missing target needs none.
func (r *root) mask(target, source string, dir bool) error {
	if !r.exists(target) {
		return nil
	}
	from, err := r.open(source, unix.O_PATH)
	if err != nil {
		return fmt.Errorf("cannot find %s: %w", source, err)
	}
	defer unix.Close(from)
	fd, err := unix.OpenTree(from, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("cannot copy the mount of %s: %w", source, err)
	}
	defer unix.Close(fd)
	if err := restrict(fd, false, false); err != nil {
		return fmt.Errorf("cannot restrict %s: %w", target, err)
	}
	if err := r.put(fd, target, dir); err != nil {
		return fmt.Errorf("cannot mask %s: %w", target, err)
	}
	return nil
}
