package docker

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// hidden lists what the self-check looks for: ways to the host that must not be there.
func hidden(p *plan.Plan) []wire.Path {
	all := []wire.Path{
		{Name: "the guest's control socket", Path: filepath.Join(p.Paths.Run, guestName)},
		{Name: "the sidecar's status socket", Path: filepath.Join(p.Paths.Run, statusName)},
		{Name: "the sidecar's meeting place", Path: wire.HandoverSocket},
		{Name: "the docker socket", Path: "/run/docker.sock"},
		{Name: "the docker socket's other name", Path: "/var/run/docker.sock"},
		{Name: "the containerd socket", Path: "/run/containerd/containerd.sock"},
		{Name: "the podman socket", Path: "/run/podman/podman.sock"},
		{Name: "the users' runtime directory", Path: "/run/user"},
		{Name: "the system bus", Path: "/run/dbus/system_bus_socket"},
		{Name: "systemd's sockets", Path: "/run/systemd"},
	}
	all = append(all, notHosts("the run's state", p.Paths.State)...)
	if home, err := os.UserHomeDir(); err == nil {
		all = append(all, notHosts("the host's home", home)...)
	}
	return all
}

// notHosts hides one thing of the host whose name may be taken by another in the bottle.
func notHosts(name, path string) []wire.Path {
	info, err := os.Stat(path)
	if err != nil || path == "/" {
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return []wire.Path{{Name: name, Path: path, Device: uint64(st.Dev), Inode: st.Ino}} //nolint:unconvert // its size differs by architecture
}
