package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// sandboxProcesses are threads for gVisor itself.
const sandboxProcesses = 1024

// linkProcesses and linkMemory are far more than a process that only waits can use.
const (
	linkProcesses = 64
	linkMemory    = 256 << 20
)

// link is the container that makes the network of an agent under gVisor. Its image is this program
// alone, nothing of the agent's ever runs in it, and it gives its capabilities up before that one
// exists.
func link(p *plan.Plan, root, image string) engine.Container {
	c := base(root, p.ID, roleLink)
	c.Image, c.Hostname, c.User = image, string(p.ID), "0:0"
	c.Entrypoint, c.Cmd = []string{wire.Program}, []string{"guest", wire.LinkMode}
	h := &c.HostConfig
	h.NetworkMode = "none"
	h.CapAdd = []string{"NET_ADMIN", "SETPCAP", "SYS_ADMIN"}
	h.PidsLimit, h.Memory, h.MemorySwap = linkProcesses, linkMemory, linkMemory
	h.Sysctls = map[string]string{"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.default.disable_ipv6": "0"}
	h.Mounts = []engine.Mount{handover(p.ID, root, false)}
	return c
}

// under changes the agent's container into one that gVisor holds, in the network of the link.
func under(c engine.Container, link string, on *site) engine.Container {
	c.Hostname = "" // the link's, as the network
	h := &c.HostConfig
	h.Runtime, h.NetworkMode = runsc, "container:"+link
	h.CapAdd = []string{"SETUID", "SETGID", "SETPCAP"}
	h.Sysctls = nil // of a kernel that it does not have
	// The guest limits the bottle's processes; what the engine counts are gVisor's threads.
	h.PidsLimit = 2*h.PidsLimit + sandboxProcesses
	h.Mounts = h.Mounts[1:] // the handover
	h.Tmpfs = map[string]string{
		"/tmp":     "rw,exec,nosuid,nodev,mode=1777,size=" + strconv.FormatInt(on.memory/4, 10),
		"/var/tmp": "rw,exec,nosuid,nodev,mode=1777,size=" + strconv.FormatInt(on.memory/4, 10),
		"/run":     "rw,nosuid,nodev,mode=1777,size=64m",
	}
	return c
}

// connectLink makes the link and waits until it stands; what it returns joins it.
func (l *life) connectLink(ctx context.Context, spec, made engine.Container, on *site) (engine.Container, error) {
	var err error
	l.link, err = l.engine.Create(ctx, linkName(l.id), made)
	if engine.IsStatus(err, http.StatusConflict) {
		return spec, fault.WithHint(fault.New(fault.Exists, "cannot prepare %q: a link of it is there already", l.id), "run bot-bottle cleanup")
	}
	if err != nil {
		return spec, err
	}
	said := &tail{}
	end, err := l.start(ctx, l.link, said)
	if err != nil {
		return spec, err
	}
	if l.linked, err = own(end, said); err != nil {
		return spec, errors.Join(fmt.Errorf("cannot reach the link: %w", err), end.Close())
	}
	return under(spec, l.link, on), l.progress(ctx, l.linked, true)
}
