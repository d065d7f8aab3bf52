package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// Limits of the git gate's container. The scanner and one git may each take what the gate bounds
// them to; packs are read through the page cache, which counts.
const (
	gateProcesses = 1024
	gateMemory    = 6 << 30
)

// labelRemote is what a volume is the mirror of.
const labelRemote = "bot-bottle.remote"

func gateName(id instance.ID) string { return project(id) + "-git" }

// mirrorVolume holds a mirror for all bottles of one Root. It belongs to no identity.
func mirrorVolume(root, name string) string { return "bot-bottle-git-" + rootTag(root) + "-" + name }

// gate is the git gate's container: the host's network, as the sidecar's has, a user of its own,
// and nothing that can be written but volumes: one for the run, which goes with the container, and
// one for each mirror. Of the host's files it has none.
func gate(p *plan.Plan, root, image, profile string, memory int64) engine.Container {
	c := base(root, p.ID, roleGate)
	user := strconv.Itoa(wire.GateUser)
	c.Image, c.User = image, user+":"+user
	c.Entrypoint, c.Cmd = []string{wire.Program}, []string{"gate", wire.ContainerMode}
	h := &c.HostConfig
	h.NetworkMode = "host"
	h.SecurityOpt = append(h.SecurityOpt, "seccomp="+profile)
	h.PidsLimit, h.Memory = gateProcesses, min(gateMemory, memory/4*3)
	h.MemorySwap = h.Memory
	h.Mounts = []engine.Mount{{Type: "volume", Target: wire.GateDir, VolumeOptions: &engine.VolumeOptions{Labels: map[string]string{
		labelRoot: rootTag(root), labelIdentity: string(p.ID), labelRole: roleGate,
	}}}}
	for slot, name := range mirrors(p) {
		h.Mounts = append(h.Mounts, engine.Mount{
			Type: "volume", Source: mirrorVolume(root, name), Target: wire.GateMirror(slot),
			VolumeOptions: &engine.VolumeOptions{Labels: map[string]string{labelRoot: rootTag(root), labelRole: roleMirror, labelRemote: remoteOf(p, name)}},
		})
	}
	return c
}

// mirrors are the names of a plan's mirrors that outlive it, each once, in order.
func mirrors(p *plan.Plan) []string {
	var names []string
	seen := map[string]bool{"": true}
	for _, r := range p.Git.Repos {
		if !seen[r.Mirror] {
			seen[r.Mirror] = true
			names = append(names, r.Mirror)
		}
	}
	return names
}

// remoteOf is the URL of a mirror, for a person, without anything secret that it may hold.
func remoteOf(p *plan.Plan, mirror string) string {
	for _, r := range p.Git.Repos {
		if r.Mirror != mirror {
			continue
		}
		if u, err := url.Parse(r.URL); err == nil {
			u.User, u.RawQuery = nil, ""
			return u.String()
		}
		return r.URL
	}
	return ""
}

// checkGate refuses what the container has no room for.
func checkGate(p *plan.Plan) error {
	if p.Git.Gate != plan.GateInBackend {
		return nil
	}
	all := mirrors(p)
	if len(all) > wire.GateSlots {
		return fault.New(fault.Unsupported, "cannot prepare %q: it declares %d git repositories, and the gate's container has room for %d", p.ID, len(all), wire.GateSlots)
	}
	for _, name := range all {
		if strings.Trim(name, "0123456789abcdef") != "" {
			return fault.New(fault.Invalid, "cannot prepare %q: %q is no name for a mirror", p.ID, name)
		}
	}
	return nil
}

// gateEnd is this process's end of the git gate's container.
type gateEnd struct {
	outside *mux.Session
	gate    backend.Gate
}

// startGate makes the git gate's container, where there is an image for one, and runs it. It waits
// there for its setup.
func (d *Driver) startGate(ctx context.Context, l *life, p *plan.Plan, image string, memory int64) (err error) {
	if image == "" {
		return nil
	}
	l.gate, err = l.engine.Create(ctx, gateName(l.id), gate(p, d.Root, image, gateSeccomp(), memory))
	if err != nil && strings.Contains(err.Error(), "opening seccomp profile failed") { // Podman wants a file's name
		profile := filepath.Join(l.run, profileName)
		if err := os.WriteFile(profile, []byte(gateSeccomp()), 0o600); err != nil {
			return fmt.Errorf("cannot write the git gate's profile: %w", err)
		}
		l.gate, err = l.engine.Create(ctx, gateName(l.id), gate(p, d.Root, image, profile, memory))
	}
	if engine.IsStatus(err, http.StatusConflict) {
		return fault.WithHint(fault.New(fault.Exists, "cannot prepare %q: a git gate of it is there already", l.id), "run bot-bottle cleanup")
	}
	if err != nil {
		return fmt.Errorf("cannot make the git gate's container: %w", err)
	}
	said := &tail{}
	attached, err := l.start(ctx, l.gate, said)
	if err != nil {
		return fmt.Errorf("cannot start the git gate's container: %w", err)
	}
	outside, err := mux.Host(attached)
	if err != nil {
		return errors.Join(err, attached.Close())
	}
	end := &gateEnd{outside: outside, gate: backend.Gate{Dir: wire.GateDir, Mirrors: map[string]string{}}}
	l.gated = end // from here on it is hung up on with the others
	for slot, name := range mirrors(p) {
		end.gate.Mirrors[name] = wire.GateMirror(slot)
	}
	control, err := outside.Open() // the gate takes its streams in this order
	if err == nil {
		end.gate.Control = speaking{control, said}
		end.gate.Link, err = outside.Open()
	}
	if err != nil {
		return fmt.Errorf("cannot reach the git gate: %w", err)
	}
	return nil
}

// speaking adds to the end of a conversation what the container said when it died.
type speaking struct {
	net.Conn

	said *tail
}

func (s speaking) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if text := s.said.String(); err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return n, err
}

// Gate implements backend.GateHost.
func (d *Driver) Gate(_ context.Context, h backend.Handle) (backend.Gate, error) {
	l, err := d.mine(h)
	if err != nil {
		return backend.Gate{}, err
	}
	if l.gated == nil {
		return backend.Gate{}, fault.New(fault.NotFound, "cannot find the git gate of %q: its plan has none", h.ID)
	}
	return l.gated.gate, nil
}
