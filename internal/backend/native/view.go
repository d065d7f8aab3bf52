package native

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/rootfs"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// Limits where a plan names none.
const (
	defaultProcesses = 4096
	defaultOpenFiles = 1 << 16
)

// view is what a bottle sees of the host, and the descriptors that go with it.
type view struct {
	setup wire.Setup
	files []*os.File // from wire.FirstFD on
}

// newView resolves a plan against this host. With handOver the trees are opened here, for a guest
// whose ids do not reach them.
func newView(p *plan.Plan, program string, handOver bool) (*view, error) {
	v := &view{}
	s := &v.setup
	s.Hostname, s.Home = string(p.ID), plan.Home
	s.Limits = wire.Limits{Processes: p.Limits.Processes, OpenFiles: p.Limits.OpenFiles}
	if s.Limits.Processes == 0 {
		s.Limits.Processes = defaultProcesses
	}
	if s.Limits.OpenFiles == 0 {
		s.Limits.OpenFiles = defaultOpenFiles
	}
	v.system()
	v.etc(p)
	v.devices()
	if err := v.mounts(p.Mounts); err != nil {
		return nil, err
	}
	if p.Git.Sign != nil { // git in the bottle signs through this program
		file, err := filepath.EvalSymlinks(program) // /proc/self/exe is another file's name for the guest
		if err != nil {
			return nil, fmt.Errorf("cannot find this program, which signs in the bottle: %w", err)
		}
		s.Trees = append(s.Trees, wire.Tree{Source: file, Target: wire.Program})
	}
	s.Trees = append(s.Trees, wire.Tree{Source: p.Paths.Home, Target: plan.Home, Dir: true, Writable: true})
	v.hidden(p)
	err := v.trust()
	if err == nil && handOver {
		err = v.open()
	}
	if err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (v *view) close() { closeFiles(v.files) }

// hand adds a descriptor for the guest and returns the number that it will have there.
func (v *view) hand(f *os.File) int {
	v.files = append(v.files, f)
	return wire.FirstFD + len(v.files) - 1
}

func (v *view) open() error {
	for i := range v.setup.Trees {
		t := &v.setup.Trees[i]
		fd, err := rootfs.OpenTree(t.Source, t.Writable || t.Device, t.Device)
		if err != nil {
			return err
		}
		t.FD = v.hand(os.NewFile(uintptr(fd), t.Source))
	}
	return nil
}

// systemDirs are the host's programs and their libraries.
func systemDirs() []string {
	return []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/sys/devices/system/cpu"}
}

func (v *view) system() {
	for _, dir := range systemDirs() {
		v.show(dir)
	}
}

// show makes a path of the host visible at the same place: a link as a link, all else read-only.
// What the host lacks, the bottle lacks.
func (v *view) show(path string) {
	info, err := os.Lstat(path)
	if err != nil {
		return
	}
	switch mode := info.Mode(); {
	case mode&os.ModeSymlink != 0:
		if to, err := os.Readlink(path); err == nil {
			v.setup.Links = append(v.setup.Links, wire.Link{Path: path, To: to})
		}
	case mode.IsDir():
		v.setup.Trees = append(v.setup.Trees, wire.Tree{Source: path, Target: path, Dir: true})
	case mode.IsRegular():
		v.setup.Trees = append(v.setup.Trees, wire.Tree{Source: path, Target: path})
	}
}

func (v *view) devices() {
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		v.setup.Trees = append(v.setup.Trees, wire.Tree{Source: "/dev/" + name, Target: "/dev/" + name, Device: true})
	}
}

// mounts adds what the plan brings in. A path that is visible anyway needs no mount of its own.
func (v *view) mounts(mounts []plan.Mount) error {
	for _, m := range mounts {
		if !filepath.IsAbs(m.HostPath) || !filepath.IsAbs(m.Path) {
			return fault.New(fault.Invalid, "cannot mount %q at %q: both must be absolute", m.HostPath, m.Path)
		}
		info, err := os.Stat(m.HostPath)
		if errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.NotFound, "cannot mount %s: it does not exist", m.HostPath)
		}
		if err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.HostPath, err)
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			return fault.New(fault.Invalid, "cannot mount %s: it is neither a file nor a directory", m.HostPath)
		}
		path := filepath.Clean(m.Path)
		if path == filepath.Clean(m.HostPath) && v.visible(path) {
			continue
		}
		v.setup.Trees = append(v.setup.Trees, wire.Tree{Source: m.HostPath, Target: path, Dir: info.IsDir()})
	}
	return nil
}

func (v *view) visible(path string) bool {
	for _, dir := range systemDirs() {
		if strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}

// hidden lists what the self-check looks for: ways to the host that must not be there.
func (v *view) hidden(p *plan.Plan) {
	never := func(name, path string) {
		v.setup.Hidden = append(v.setup.Hidden, wire.Path{Name: name, Path: path})
	}
	never("the guest's control socket", filepath.Join(p.Paths.Run, guestName))
	never("the sidecar's control socket", filepath.Join(p.Paths.Run, sidecarName))
	never("the docker socket", "/run/docker.sock")
	never("the containerd socket", "/run/containerd/containerd.sock")
	never("the podman socket", "/run/podman/podman.sock")
	never("the users' runtime directory", "/run/user")
	never("the system bus", "/run/dbus/system_bus_socket")
	never("systemd's sockets", "/run/systemd")
	v.notHosts("the run's state", p.Paths.State)
	if home, err := os.UserHomeDir(); err == nil {
		v.notHosts("the host's home", home)
	}
}

// notHosts hides one thing of the host whose name may be taken by another in the bottle.
func (v *view) notHosts(name, path string) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || path == "/" {
		return
	}
	v.setup.Hidden = append(v.setup.Hidden, wire.Path{Name: name, Path: path, Device: st.Dev, Inode: st.Ino})
}

// hostBundles are where distributions keep the trusted certificates in one file.
func hostBundles() []string {
	return []string{
		plan.CABundle,
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem",
	}
}

// trust makes every usual name of the bundle lead to one file.
func (v *view) trust() error {
	v.setup.Trust.Path = plan.CABundle
	for _, name := range append(hostBundles()[1:], "/etc/pki/tls/cert.pem") {
		v.setup.Links = append(v.setup.Links, wire.Link{Path: name, To: plan.CABundle})
	}
	for _, name := range hostBundles() {
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read the host's certificates: %w", err)
		}
		v.setup.Trust.FD = v.hand(f)
		return nil
	}
	return nil
}
