// Package docker holds bottles in the containers of an engine on this machine: Docker, or Podman
// through its compatible socket.
//
// Its one rule: the engine makes namespaces and file systems, and nothing else of the boundary is
// its work. A bottle has no network of the engine's at all, and no resolver of it: what is in it
// is made by its guest, as on the native backend, and every listener belongs to the sidecar.
package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/backend/session"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Name of the backend.
const Name = "docker"

// Config of a driver.
type Config struct {
	// Program finds this program's file, which runs as the first process of both containers.
	Program func() (string, error)
	// Root is the directory below which runs keep their state: Root/<identity>. Inventory finds
	// only bottles of this Root.
	Root string
	// Getenv looks up a variable of the caller: where the engine is, and the overrides.
	Getenv engine.Getenv
	// Image is what a plan that names none is made of; "": this program alone.
	Image string
	// Cache is where the verdict on a runtime is remembered, and which run needs which image; ""
	// remembers nothing, and lets no image go.
	Cache string
	// Progress gets a line about whatever takes long; it may be nil.
	Progress func(format string, args ...any)
}

// Driver makes bottles of containers. It implements backend.Driver and backend.Truster.
type Driver struct {
	session.Client
	Config

	about atomic.Pointer[engine.Info] // nil before the engine was asked
	found atomic.Pointer[site]        // what follows from that

	mu     sync.Mutex // guards lives and client
	lives  map[instance.ID]*life
	client *engine.Client
}

// New makes a driver; it touches nothing.
func New(c Config) *Driver {
	d := &Driver{Config: c, lives: make(map[instance.ID]*life)}
	d.Dial = d.dial
	if d.Progress == nil {
		d.Progress = func(string, ...any) {}
	}
	return d
}

var (
	_ backend.Driver   = (*Driver)(nil)
	_ backend.Truster  = (*Driver)(nil)
	_ backend.Operable = (*Driver)(nil)

	_ backend.Rememberer = (*Driver)(nil)
	_ backend.Hoarder    = (*Driver)(nil)
	_ backend.GateHost   = (*Driver)(nil)
)

// Name implements backend.Prober.
func (d *Driver) Name() string { return Name }

// engine finds the engine once.
func (d *Driver) engine() (*engine.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		return d.client, nil
	}
	socket, _, err := engine.Find(d.Getenv)
	if err != nil {
		return nil, err
	}
	client := engine.New(socket)
	if version := d.Getenv("DOCKER_API_VERSION"); version != "" {
		if err := client.Pin(version); err != nil {
			return nil, err
		}
	}
	d.client = client
	return d.client, nil
}

// life is a bottle that this process prepared.
type life struct {
	id      instance.ID
	run     string
	engine  *engine.Client
	lock    *lock
	agent   string // the containers' ids
	sidecar string
	link    string        // "" where the agent's container makes its own network
	gate    string        // "" where the plan has no git gate in here
	linked  *owner        // the link's container
	owner   *owner        // the agent's container
	control *lifeline     // the sidecar's container
	gated   *gateEnd      // the git gate's; nil where there is none
	doors   []io.Closer   // where other processes come in
	done    chan struct{} // closed when one of them has ended
	gone    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	trust    string
	launched bool
}

func (d *Driver) life(id instance.ID) *life {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lives[id]
}

func (d *Driver) mine(h backend.Handle) (*life, error) {
	l := d.life(h.ID)
	if l == nil {
		return nil, fault.New(fault.NotFound, "cannot find %q: this process did not prepare it", h.ID)
	}
	return l, nil
}

// Sidecar implements backend.Lifecycle.
func (d *Driver) Sidecar(_ context.Context, h backend.Handle) (net.Conn, error) {
	l, err := d.mine(h)
	if err != nil {
		return nil, err
	}
	return l.control.end, nil
}

// Done implements backend.Lifecycle.
func (d *Driver) Done(h backend.Handle) <-chan struct{} {
	if l := d.life(h.ID); l != nil {
		return l.done
	}
	over := make(chan struct{})
	close(over)
	return over
}

// Trust implements backend.Truster.
func (d *Driver) Trust(_ context.Context, h backend.Handle, pem string) error {
	l, err := d.mine(h)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.launched {
		return fault.New(fault.Busy, "cannot extend the trust of %q: it is sealed", h.ID)
	}
	l.trust += pem
	return nil
}

// data is what a Handle carries.
type data struct {
	Run string `json:"run"`
}

func handle(id instance.ID, run string) (backend.Handle, error) {
	raw, err := json.Marshal(data{Run: run})
	if err != nil {
		return backend.Handle{}, fmt.Errorf("cannot describe %q: %w", id, err)
	}
	return backend.Handle{Backend: Name, ID: id, Data: raw}, nil
}

// runOf finds the run directory of a handle; "" for one that is not of this backend.
func runOf(h backend.Handle) string {
	var d data
	if h.Backend != Name || json.Unmarshal(h.Data, &d) != nil {
		return ""
	}
	return d.Run
}

var _ net.Listener = (*mux.Session)(nil)
