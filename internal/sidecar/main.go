package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
	"golang.org/x/sys/unix"
)

// Main is `bot-bottle sidecar`. A backend starts it with the descriptors above and nothing else;
// it returns the exit code: 0 when its owner ended it, 1 when something broke.
func Main(args []string) int {
	if err := run(args); err != nil {
		fmt.Fprintf(os.Stderr, "bot-bottle sidecar: %v\n", err)
		return 1
	}
	return 0
}

func run(args []string) error {
	started := time.Now()
	if len(args) == 1 && args[0] == wire.ContainerMode {
		return runContainer(started)
	}
	if len(args) != 0 {
		return errors.New("cannot run: it takes no arguments and is started by a backend only")
	}
	if err := fence.Enter(ProposalsFD - ControlFD + 1); err != nil {
		return err
	}
	p, err := open(started)
	if err != nil {
		return err
	}
	return p.run(context.Background())
}

// open takes over the descriptors.
func open(started time.Time) (*process, error) {
	owner, err := adopt(ControlFD, "control", net.FileConn)
	if err != nil {
		return nil, err
	}
	handover, err := adopt(ListenersFD, "listeners", net.FileConn)
	if err != nil {
		return nil, err
	}
	status, err := adopt(StatusFD, "status", net.FileListener)
	if err != nil {
		return nil, err
	}
	log, err := appendable(AuditFD, "audit.jsonl", unix.O_WRONLY)
	if err != nil {
		return nil, err
	}
	inbox, err := appendable(ProposalsFD, "proposals.jsonl", unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	memory, err := os.Open("/proc/self/statm")
	if err != nil {
		return nil, fmt.Errorf("cannot watch memory: %w", err)
	}
	return &process{
		started: started, owner: owner, handover: func() (net.Conn, error) { return handover, nil }, status: status, logFile: log, inbox: inbox, memory: memory,
		counted: &counter{}, ended: make(chan error, 1),
	}, nil
}

// appendable is a file that was handed over, which must be open for appending.
func appendable(fd uintptr, name string, mode int) (*os.File, error) {
	file := os.NewFile(fd, name)
	flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
	if err != nil || flags&unix.O_APPEND == 0 || flags&unix.O_ACCMODE != mode && flags&unix.O_ACCMODE != unix.O_RDWR {
		return nil, fmt.Errorf("cannot use descriptor %d: %s is no file open for appending", fd, name)
	}
	return file, nil
}

// adopt turns a descriptor into the net package's own copy of it.
func adopt[T any](fd uintptr, name string, convert func(*os.File) (T, error)) (T, error) {
	file := os.NewFile(fd, name)
	defer file.Close()
	v, err := convert(file)
	if err != nil {
		return v, fmt.Errorf("cannot use descriptor %d (%s): %w", fd, name, err)
	}
	return v, nil
}
