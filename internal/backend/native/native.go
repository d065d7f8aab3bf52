// Package native holds bottles in namespaces of this kernel, with no daemon and no image, for
// root and for an ordinary user alike.
//
// Its one rule: a bottle and its sidecar live exactly as long as the process that prepared them,
// and a guard that is missing is an error, never a note.
package native

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/session"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Name of the backend.
const Name = "native"

// Config of a driver.
type Config struct {
	// Self is the argv prefix that starts this program again, such as /proc/self/exe. The
	// subcommands "sidecar" and "guest" are appended.
	Self []string
	// Root is the directory below which runs keep their state: Root/<identity>. Inventory
	// looks there, and only for bottles of this Root.
	Root string
	// Cache is where the outcome of a trial is remembered; "" remembers nothing.
	Cache string
}

// Driver makes bottles of namespaces. It implements backend.Driver and backend.Truster.
type Driver struct {
	session.Client

	self  []string
	root  string
	cache string

	mu    sync.Mutex // guards lives
	lives map[instance.ID]*life
}

// New makes a driver; it touches nothing.
func New(c Config) *Driver {
	return &Driver{Client: session.Client{Dial: dial}, self: c.Self, root: c.Root, cache: c.Cache, lives: make(map[instance.ID]*life)}
}

var (
	_ backend.Driver     = (*Driver)(nil)
	_ backend.Truster    = (*Driver)(nil)
	_ backend.Operable   = (*Driver)(nil)
	_ backend.Rememberer = (*Driver)(nil)
)

// Name implements backend.Prober.
func (d *Driver) Name() string { return Name }

// life is a bottle that this process prepared.
type life struct {
	id      instance.ID
	run     string
	guest   *child
	sidecar *child
	owner   *owner   // the guest's lifeline
	control net.Conn // the sidecar's lifeline
	lock    *lock
	cgroups []string
	done    chan struct{} // closed when one of the two has ended
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
	return l.control, nil
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
