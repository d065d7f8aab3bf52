package gate

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Remote is a gate that a backend started; this process is its owner.
type Remote struct {
	Fences []string

	control net.Conn
	link    net.Conn
	joined  sync.WaitGroup
}

// Tell sets a waiting gate up over its owner's connection, and returns when it serves. It says
// nothing to the sidecar yet that anybody hears: Join does. link is its connection to the sidecar,
// which is the Remote's from here on.
func Tell(ctx context.Context, control, link net.Conn, setup Setup) (*Remote, error) {
	r := &Remote{control: control, link: link}
	ready, err := tell(ctx, control, setup)
	if err != nil {
		_ = r.Close()
		return nil, fault.New(fault.Unavailable, "cannot start the git gate: %w", err)
	}
	if ready.Problem != "" {
		_ = r.Close()
		return nil, fault.WithHint(fault.New(fault.Unavailable, "cannot start the git gate: %s", ready.Problem), "%s", ready.Hint)
	}
	r.Fences = ready.Fences
	return r, nil
}

// tell sends a setup and waits for the answer.
func tell(ctx context.Context, control net.Conn, setup Setup) (Ready, error) {
	stop := context.AfterFunc(ctx, func() { _ = control.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var ready Ready
	line, err := json.Marshal(setup)
	if err != nil {
		return ready, err
	}
	defer clear(line)
	if _, err = control.Write(append(line, '\n')); err == nil {
		err = json.NewDecoder(bufio.NewReader(control)).Decode(&ready)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return ready, err
}

// Join carries the gate's link to the configured sidecar, and back, until one of them ends.
func (r *Remote) Join(sidecar net.Conn) {
	end := func() { _ = sidecar.Close(); _ = r.link.Close() }
	r.joined.Go(func() { defer end(); _, _ = io.Copy(sidecar, r.link) })
	r.joined.Go(func() { defer end(); _, _ = io.Copy(r.link, sidecar) })
}

// Close ends the gate: its place is torn down with the bottle.
func (r *Remote) Close() error {
	_ = r.control.Close() // fails only where there is nothing left to close
	_ = r.link.Close()
	r.joined.Wait()
	return nil
}
