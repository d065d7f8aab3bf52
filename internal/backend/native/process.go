package native

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// process is one process for all time: a number is used again, its start is not.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot
	Boot  string `json:"boot"`
}

// identify tells which process has the number now.
func identify(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, fmt.Errorf("cannot identify process %d: %w", pid, err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return process{}, fmt.Errorf("cannot identify this boot: %w", err)
	}
	start, err := startTime(string(stat))
	if err != nil {
		return process{}, fmt.Errorf("cannot identify process %d: %w", pid, err)
	}
	return process{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// startTime is field 22 of /proc/<pid>/stat. The name before it may hold blanks and brackets.
func startTime(stat string) (uint64, error) {
	const afterName = 19
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= afterName {
		return 0, errors.New("its record is malformed")
	}
	return strconv.ParseUint(fields[afterName], 10, 64)
}

// open returns a descriptor of the process, or -1 when it has ended.
func (p process) open() (int, error) {
	if p.PID <= 0 {
		return -1, nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err == unix.ESRCH {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("cannot open process %d: %w", p.PID, err)
	}
	// The descriptor is of whoever has the number now. Identifying after opening tells who.
	if now, err := identify(p.PID); err != nil || now != p {
		_ = unix.Close(fd)
		return -1, nil //nolint:nilerr // a process that cannot be identified is gone
	}
	return fd, nil
}

func (p process) alive() bool {
	fd, err := p.open()
	if fd < 0 {
		return err != nil
	}
	defer unix.Close(fd)
	ended, err := wait(fd, 0)
	return err != nil || !ended
}

// kill ends the process and waits until it has ended; one that has ended is success.
func (p process) kill(ctx context.Context) error {
	fd, err := p.open()
	if err != nil || fd < 0 {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("cannot kill process %d: %w", p.PID, err)
	}
	limit := killPatience
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, max(0, time.Until(deadline)))
	}
	ended, err := wait(fd, limit)
	if err == nil && !ended {
		err = context.DeadlineExceeded
	}
	if err != nil {
		return fmt.Errorf("cannot wait for process %d: %w", p.PID, err)
	}
	return nil
}

// killPatience is how long the kernel may take to end a killed process and all below it.
const killPatience = 10 * time.Second

// wait polls a process's descriptor, which becomes readable when it ends.
func wait(fd int, limit time.Duration) (ended bool, err error) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
		if err != unix.EINTR {
			return n > 0, err
		}
	}
}

const titlePrefix = "bot-bottle:"

// title is the argv[0] by which a bottle's processes are found: whose state they belong to, and
// their identity.
func title(root string, id instance.ID) string {
	return titlePrefix + rootTag(root) + ":" + string(id)
}

func rootTag(root string) string {
	sum := sha256.Sum256([]byte(root))
	return hex.EncodeToString(sum[:4])
}
