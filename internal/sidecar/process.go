package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"golang.org/x/sync/errgroup"
)

// farewell is how long services may take to end; after it the process ends with them.
const farewell = 2 * time.Second

// process is the one sidecar of this process.
type process struct {
	started  time.Time
	owner    net.Conn
	handover func() (net.Conn, error) // where the listeners come from
	joined   bool                     // in a container: the handover stays open while the bottle lives, and operators come through the owner
	status   net.Listener             // other processes of the operator
	logFile  *os.File
	inbox    *os.File // the journal of proposals
	memory   *os.File
	counted  *counter
	ended    chan error // the first reason to end; nil for an order

	claimed    atomic.Bool // by the one configure
	name       atomic.Pointer[instance.ID]
	supervised bool // the agent may ask; set before egress
	live       live
	tokens     *Tokens // set before egress, as the next three
	guarded    *Tokens // what is only recognised
	inspectors *inspectors
	redactor   atomic.Pointer[secret.Redactor]
	egress     atomic.Pointer[egress.Server]
	pushes     pushes
	desk       atomic.Pointer[desk.Desk]
	gateWord   atomic.Pointer[string] // set before egress; nil where the bottle has no git gate
	gate       atomic.Pointer[mux.Session]
}

// end says why the process ends; only the first reason counts.
func (p *process) end(err error) {
	select {
	case p.ended <- err:
	default:
	}
}

// run serves until the owner ends the connection, orders the end or dies, or until anything
// else ends by itself, which is an error.
func (p *process) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		p.end(control.Serve(ctx, p.owner, p.ownerMethods(ctx, group)))
		return nil
	})
	group.Go(func() error { return p.serveStatus(ctx) })
	done := make(chan error, 1)
	go func() { done <- group.Wait() }()
	var reason error
	select {
	case reason = <-p.ended:
	case <-ctx.Done(): // a service ended with an error, which Wait returns
	}
	cancel()
	select {
	case err := <-done:
		err = errors.Join(reason, err, p.closeDesk())
		return errors.Join(err, p.closeLog(err))
	case <-time.After(farewell):
		return errors.Join(reason, errors.New("cannot end in good order: a service does not stop"))
	}
}

// closeDesk ends what still waits for an answer, where there is a desk yet.
func (p *process) closeDesk() error {
	if d := p.desk.Load(); d != nil {
		return d.Close()
	}
	return nil
}

// closeLog writes what is waiting, where there is a log yet, and that it is all.
func (p *process) closeLog(why error) error {
	if log := p.counted.log.Swap(nil); log != nil {
		last := audit.Event{Kind: "lifecycle", Message: audit.Closing}
		if why != nil {
			last.Reason = why.Error()
		}
		log.Record(last)
		return log.Close()
	}
	return nil
}

// watchLog ends everything when an event cannot be written: what is not recorded must not happen.
func watchLog(ctx context.Context, log *audit.Log) error {
	select {
	case <-log.Failed():
		return log.Err()
	case <-ctx.Done():
		return nil
	}
}

// mustRun makes the end of a service an error while nobody asked for it.
func mustRun(ctx context.Context, name string, run func(context.Context) error) error {
	err := run(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // its end was asked for
	}
	if err == nil {
		err = errors.New("it stopped by itself")
	}
	return fmt.Errorf("cannot go on without %s: %w", name, err)
}

// id is the bottle's, or "" before there is a configuration.
func (p *process) id() instance.ID {
	if id := p.name.Load(); id != nil {
		return *id
	}
	return ""
}
