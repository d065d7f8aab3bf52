package bench

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// bubblewrap with every namespace, a read-only system and no capability: no network, no way out,
// no seccomp filter.
func bubblewrap(ctx context.Context, w *world) ([]*starter, error) {
	path, err := exec.LookPath("bwrap")
	if err != nil {
		return nil, errors.New("bwrap: it is not installed")
	}
	args := []string{
		"--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "bench",
		"--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--ro-bind", "/etc", "/etc",
		"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run", "--ro-bind", w.first, "/first", "--clearenv", "/first",
	}
	return []*starter{{
		name: "bwrap", version: firstLine(ctx, path, "--version") + ", all namespaces, no capability; no network and no proxy",
		command: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, path, args...) },
	}}, nil
}

// sandboxRuntime is Anthropic's srt with one allowed domain, so that it starts its proxies.
func sandboxRuntime(ctx context.Context, w *world) ([]*starter, error) {
	path := filepath.Join(w.npm, "node_modules", ".bin", "srt")
	if _, err := os.Stat(path); err != nil {
		return nil, errors.New("srt: scripts/setup bench could not install it")
	}
	settings := w.path("srt.json")
	text := `{"network": {"allowedDomains": ["` + benchHost + `"], "deniedDomains": []}, "filesystem": {"denyRead": [], "allowWrite": ["."], "denyWrite": []}}`
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return nil, err
	}
	command := func(ctx context.Context) *exec.Cmd {
		c := exec.CommandContext(ctx, path, "--settings", settings, w.first)
		c.Dir = w.dir
		return c
	}
	if _, _, err := startOnce(command(ctx)); err != nil {
		return nil, fmt.Errorf("srt: %w", err)
	}
	return []*starter{{
		name: "srt", command: command,
		version: "@anthropic-ai/sandbox-runtime " + firstLine(ctx, path, "--version") + " on Node " + firstLine(ctx, "node", "--version") + ", one allowed domain",
	}}, nil
}

// docker runs the program from an image that holds nothing else, and a bottle in the same image.
// An engine that answers is used; else one is started here, with its own directories and socket, and
// stopped afterwards.
func docker(ctx context.Context, w *world) ([]*starter, error) {
	client, err := exec.LookPath("docker")
	if err != nil {
		return nil, errors.New("docker: it is not installed")
	}
	address := os.Getenv("DOCKER_HOST")
	if exec.CommandContext(ctx, client, "version").Run() != nil {
		if address, err = w.engine(ctx, client); err != nil {
			return nil, fmt.Errorf("docker: %w", err)
		}
	}
	with := func(ctx context.Context, args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, client, args...)
		c.Env = os.Environ()
		if address != "" {
			c.Env = append(c.Env, "DOCKER_HOST="+address)
		}
		return c
	}
	const image = "bot-bottle-bench:first"
	root, err := imageOf(w.first)
	if err != nil {
		return nil, err
	}
	load := with(ctx, "import", "-", image)
	load.Stdin = bytes.NewReader(root)
	if out, err := load.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("docker: cannot make the image: %w: %s", err, strings.TrimSpace(string(out)))
	}
	w.undo = append(w.undo, func() error { return with(context.WithoutCancel(ctx), "image", "rm", image).Run() })
	runs := func(name string, flags ...string) *starter {
		return &starter{name: name, command: func(ctx context.Context) *exec.Cmd {
			return with(ctx, append(append([]string{"run", "--rm"}, flags...), image, "/first")...)
		}}
	}
	usual, lonely := runs(dockerRun), runs(dockerAlone, "--network", "none")
	usual.version = "engine and client " + said(with(ctx, "version", "-f", "{{.Server.Version}} and {{.Client.Version}}")) +
		", " + said(with(ctx, "info", "-f", "{{.Driver}}")) + "; no proxy"
	ours := &starter{name: inContainer, command: func(ctx context.Context) *exec.Cmd {
		c := w.bottle(ctx, "first", "start", "bench", "--backend", "docker", "--headless", "--yes", "--prompt", "go")
		c.Env = append(c.Env, "BOT_BOTTLE_IMAGE="+image)
		if address != "" {
			c.Env = append(c.Env, "DOCKER_HOST="+address)
		}
		return c
	}}
	if _, _, err := startOnce(ours.command(ctx)); err != nil { // which makes the sidecar's image
		return []*starter{usual, lonely}, fmt.Errorf("%s: %w", inContainer, err)
	}
	ours.version = "two containers, in the same image; the sidecar's image has " +
		said(with(ctx, "images", "--format", "{{.Size}}", "bot-bottle-sidecar")) + ", 40 MB are the budget"
	return []*starter{usual, lonely, ours}, nil
}

const (
	dockerRun   = "docker run --rm"
	dockerAlone = "docker run --rm --network none"
	inContainer = "bot-bottle start, docker"
)

// said is the first line of what a command says; it is for a note.
func said(c *exec.Cmd) string {
	out, err := c.Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// imageOf is a tar of an image's root with the program under the names that it is started by.
func imageOf(program string) ([]byte, error) {
	raw, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	for _, name := range []string{"first", "usr/local/bin/claude"} {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(raw))}); err != nil {
			return nil, err
		}
		if _, err := t.Write(raw); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), t.Close()
}

// engine starts dockerd and waits until it answers.
func (w *world) engine(ctx context.Context, client string) (address string, err error) {
	daemon, err := exec.LookPath("dockerd")
	if err != nil {
		return "", errors.New("no engine answers, and dockerd is not installed")
	}
	if os.Geteuid() != 0 {
		return "", errors.New("no engine answers, and only root may start one")
	}
	if err := w.bridge(); err != nil {
		return "", fmt.Errorf("cannot make a bridge for the engine: %w", err)
	}
	address = "unix://" + w.path("docker.sock")
	said, err := os.Create(w.path("dockerd.log"))
	if err != nil {
		return "", err
	}
	defer said.Close()
	d := exec.Command(daemon, "--data-root", w.path("docker-data"), "--exec-root", w.path("docker-exec"), //nolint:noctx // it outlives ctx, for the clean-up
		"--pidfile", w.path("docker.pid"), "-H", address, "--bridge", bridgeName)
	d.Stdout, d.Stderr = said, said
	if err := d.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() { _ = d.Wait(); close(ended) }()
	w.undo = append(w.undo, func() error {
		_ = d.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = d.Process.Kill()
			<-ended
		}
		left, err := filepath.Glob(w.path("docker-exec", "netns", "*")) // an engine leaves its own namespace mounted
		for _, name := range left {
			_ = unix.Unmount(name, unix.MNT_DETACH) // what is still mounted is told by who removes the directory
		}
		return err
	})
	deadline := time.After(30 * time.Second)
	for {
		if exec.CommandContext(ctx, client, "-H", address, "version").Run() == nil {
			return address, nil
		}
		select {
		case <-ended:
		case <-deadline:
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
			continue
		}
		raw, _ := os.ReadFile(said.Name())
		return "", fmt.Errorf("the engine does not start: %s", lastLine(string(raw)))
	}
}

const bridgeName = "bb-bench0"

// bridge is what docker0 is, of our own: an engine of somebody else may own that one.
func (w *world) bridge() error {
	link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
	if old, err := netlink.LinkByName(bridgeName); err == nil {
		if err := netlink.LinkDel(old); err != nil { // of a run that was killed
			return err
		}
	}
	if err := netlink.LinkAdd(link); err != nil {
		return err
	}
	w.undo = append(w.undo, func() error { return netlink.LinkDel(link) })
	address, err := netlink.ParseAddr("172.31.254.1/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
