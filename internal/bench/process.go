package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func cores() int { return runtime.NumCPU() }

// monotonic is the clock that all processes of this machine share.
func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0 // cannot be: the clock always exists
	}
	return time.Duration(now.Nano())
}

// cpuTime is what a process used of the processors so far, in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const utime, stime, tick = 11, 12, 10 * time.Millisecond
	if len(fields) <= stime {
		return 0, fmt.Errorf("cannot read the processor time of %d", pid)
	}
	u, err1 := strconv.ParseInt(fields[utime], 10, 64)
	s, err2 := strconv.ParseInt(fields[stime], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("cannot read the processor time of %d", pid)
	}
	return time.Duration(u+s) * tick, nil
}

// memory is a line of /proc/<pid>/status in MiB, such as VmRSS, RssAnon or VmHWM.
func memory(pid int, name string) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("cannot find %s of process %d", name, pid)
}

// watchMemory looks at what a process holds every few milliseconds until done, which returns the
// most that it saw.
func watchMemory(pid int) (before float64, done func() (float64, error), err error) {
	if before, err = memory(pid, "VmRSS"); err != nil {
		return 0, nil, err
	}
	end, ended, highest := make(chan struct{}), make(chan error, 1), before
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			now, err := memory(pid, "VmRSS")
			if err != nil {
				ended <- err
				return
			}
			highest = max(highest, now)
			select {
			case <-tick.C:
			case <-end:
				ended <- nil
				return
			}
		}
	}()
	return before, func() (float64, error) {
		close(end)
		err := <-ended
		return highest, err
	}, nil
}

// sidecarOf finds the sidecar's process of a bottle by its command line.
func sidecarOf(identity string) (int, error) {
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, f := range found {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		args := strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
		if len(args) == 2 && strings.HasSuffix(args[0], ":"+identity) && args[1] == "sidecar" {
			return strconv.Atoi(filepath.Base(filepath.Dir(f)))
		}
	}
	return 0, fmt.Errorf("cannot find the sidecar of %s", identity)
}
