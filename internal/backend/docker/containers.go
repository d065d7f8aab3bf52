package docker

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// Labels of everything that a bottle has in the engine.
const (
	labelRoot     = "bot-bottle.root"
	labelIdentity = "bot-bottle.identity"
	labelRole     = "bot-bottle.role"

	roleAgent    = "agent"
	roleSidecar  = "sidecar"
	roleHandover = "handover"
	roleLink     = "link"
	roleTrial    = "trial" // of no bottle
	roleGate     = "git"
	roleMirror   = "git-mirror"
	roleLaid     = "git-image" // what such an image is made in; it never runs
)

// Limits where a plan names none.
const (
	defaultProcesses = 4096
	defaultOpenFiles = 1 << 16
	sidecarProcesses = 512
	sidecarMemory    = 1 << 30
	agentShares      = 512 // of processors, half of what others have, where there are too few
)

// project is the name under which Compose's tools show a bottle.
func project(id instance.ID) string { return "bot-bottle-" + string(id) }

func sidecarName(id instance.ID) string  { return project(id) + "-sidecar" }
func handoverName(id instance.ID) string { return project(id) + "-handover" }
func linkName(id instance.ID) string     { return project(id) + "-link" }

// labels of a thing; those of Compose make `docker compose ls` and `docker compose -p` know it.
func labels(root string, id instance.ID, role string) map[string]string {
	return map[string]string{
		labelRoot: rootTag(root), labelIdentity: string(id), labelRole: role,
		"com.docker.compose.project":              project(id),
		"com.docker.compose.service":              role,
		"com.docker.compose.container-number":     "1",
		"com.docker.compose.oneoff":               "False",
		"com.docker.compose.version":              "2.0.0",
		"com.docker.compose.project.working_dir":  filepath.Join(root, string(id)),
		"com.docker.compose.project.config_files": "bot-bottle",
		"com.docker.compose.config-hash":          string(id),
	}
}

// base is what both containers have in common: the owner's streams, no way to more rights, and
// nothing that can be written but what is mounted for it.
func base(root string, id instance.ID, role string) engine.Container {
	no := false
	return engine.Container{
		AttachStdin: true, AttachStdout: true, AttachStderr: true, OpenStdin: true, StdinOnce: true,
		WorkingDir: "/", Labels: labels(root, id, role), Healthcheck: &engine.Healthcheck{Test: []string{"NONE"}},
		HostConfig: engine.Host{
			ReadonlyRootfs: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"},
			IpcMode: "private", CgroupnsMode: "private", Init: &no,
			// What goes over the streams is nobody else's to keep.
			LogConfig: &engine.LogConfig{Type: "none"},
		},
	}
}

// agent is the bottle's container. Its guest starts as root of a container without a network,
// makes one that leads to the sidecar alone, and gives up the four capabilities and the user
// before anything of the agent's runs.
func agent(p *plan.Plan, root, program, image string, memory int64) engine.Container {
	c := base(root, p.ID, roleAgent)
	c.Image, c.Hostname, c.User = image, string(p.ID), "0:0"
	c.Entrypoint, c.Cmd = []string{wire.Program}, []string{"guest", wire.ContainerMode}
	h := &c.HostConfig
	h.NetworkMode = "none"
	h.CapAdd = []string{"NET_ADMIN", "SETUID", "SETGID", "SETPCAP"}
	h.PidsLimit = int64(p.Limits.Processes)
	if h.PidsLimit == 0 {
		h.PidsLimit = defaultProcesses
	}
	h.Memory = p.Limits.MemoryBytes
	if h.Memory == 0 {
		h.Memory = memory / 4 * 3 // the bottle ends, and not what else the machine runs
	}
	h.MemorySwap, h.CPUShares, h.NanoCPUs = h.Memory, agentShares, p.Limits.MilliCPUs*1e6
	h.Sysctls = map[string]string{
		"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.lo.disable_ipv6": "0",
		"net.ipv4.ping_group_range": "1 0", "net.ipv4.ip_unprivileged_port_start": "1024",
	}
	h.Tmpfs = map[string]string{
		"/tmp":     "rw,exec,nosuid,nodev,mode=1777,size=25%",
		"/var/tmp": "rw,exec,nosuid,nodev,mode=1777,size=25%",
		"/run":     "rw,nosuid,nodev,mode=1777,size=64m", // to nobody by name: Podman takes no owner here
	}
	h.Mounts = []engine.Mount{
		handover(p.ID, root, false),
		bind(program, wire.Program, true),
		bind(p.Paths.Home, plan.Home, false),
		bind(filepath.Join(p.Paths.Run, passwdName), "/etc/passwd", true),
		bind(filepath.Join(p.Paths.Run, groupName), "/etc/group", true),
		bind(filepath.Join(p.Paths.Run, trustName), plan.CABundle, true),
		bind(filepath.Join(p.Paths.Run, namesName), "/etc/resolv.conf", true),
	}
	for _, m := range p.Mounts {
		h.Mounts = append(h.Mounts, bind(m.HostPath, filepath.Clean(m.Path), true))
	}
	return c
}

// sidecar is the trusted process's container: the host's network, as on the native backend, and
// of the host's files the audit log alone. It runs as the caller, whose file that is.
func sidecar(p *plan.Plan, root, image string) engine.Container {
	c := base(root, p.ID, roleSidecar)
	c.Image, c.User = image, fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	c.Entrypoint, c.Cmd = []string{wire.Program}, []string{"sidecar", wire.ContainerMode}
	c.Env = []string{plan.SidecarEnv}
	h := &c.HostConfig
	h.NetworkMode = "host"
	h.PidsLimit, h.Memory, h.MemorySwap = sidecarProcesses, sidecarMemory, sidecarMemory
	h.Mounts = []engine.Mount{
		bind(p.Paths.Audit, wire.SidecarAuditLog, false),
		bind(p.Paths.Proposals, wire.SidecarProposals, false),
		handover(p.ID, root, true),
	}
	return c
}

// handover is where the listeners change hands.
func handover(id instance.ID, root string, readOnly bool) engine.Mount {
	of := labels(root, id, roleHandover)
	of["com.docker.compose.volume"] = roleHandover // what `down --volumes` looks for
	return engine.Mount{
		Type: "volume", Source: handoverName(id), Target: wire.HandoverDir, ReadOnly: readOnly,
		VolumeOptions: &engine.VolumeOptions{Labels: of},
	}
}

func bind(from, to string, readOnly bool) engine.Mount {
	return engine.Mount{Type: "bind", Source: from, Target: to, ReadOnly: readOnly, BindOptions: &engine.BindOptions{Propagation: "rprivate"}}
}

// setup tells the guest what the engine does not.
func setup(p *plan.Plan, w who, linked bool) wire.Setup {
	s := wire.Setup{
		Linked:   linked,
		Hostname: string(p.ID), Home: plan.Home, UID: w.uid, GID: w.gid, Hidden: hidden(p),
		Limits: wire.Limits{OpenFiles: p.Limits.OpenFiles}, // processes are the container's limit
		Trust:  wire.Trust{Path: plan.CABundle},
	}
	if linked { // the container's counts gVisor's threads, and going over it ends the bottle
		s.Limits.Processes = p.Limits.Processes
		if s.Limits.Processes == 0 {
			s.Limits.Processes = defaultProcesses
		}
	}
	if s.Limits.OpenFiles == 0 {
		s.Limits.OpenFiles = defaultOpenFiles
	}
	return s
}
