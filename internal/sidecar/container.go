package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
	"github.com/bot-bottle/bot-bottle/internal/stdio"
	"golang.org/x/sys/unix"
)

// runContainer is the sidecar in a container of its own: its owner speaks on the first stream over
// the standard ones and lets operators in on others, the audit log is mounted, and the listeners wait at the meeting place of the bottle's container.
func runContainer(started time.Time) error {
	streams, err := stdio.Take()
	if err != nil {
		return err
	}
	if err := fence.Enter(0); err != nil {
		return err
	}
	log, err := os.OpenFile(wire.SidecarAuditLog, os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("cannot open the audit log: %w", err)
	}
	inbox, err := os.OpenFile(wire.SidecarProposals, os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("cannot open the proposals: %w", err)
	}
	memory, err := os.Open("/proc/self/statm")
	if err != nil {
		return fmt.Errorf("cannot watch memory: %w", err)
	}
	outside, err := mux.Guest(streams)
	if err != nil {
		return err
	}
	owner, err := outside.Accept()
	if err != nil {
		return fmt.Errorf("cannot reach the owner: %w", err)
	}
	p := &process{
		started: started, owner: owner, handover: meet, joined: true, status: outside, logFile: log, inbox: inbox, memory: memory,
		counted: &counter{}, ended: make(chan error, 1),
	}
	return p.run(context.Background())
}

// lasts returns when the other end is gone, which is the end of the bottle: an engine that dies
// tells neither of its containers.
func lasts(ctx context.Context, meeting net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = meeting.Close() })
	defer stop()
	_, _ = io.Copy(io.Discard, meeting)
	if ctx.Err() != nil {
		return nil
	}
	return errors.New("the bottle has ended")
}

func meet() (net.Conn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: wire.HandoverSocket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot meet the bottle: %w", err)
	}
	return conn, nil
}
