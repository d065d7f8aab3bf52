// Package enginetest gives tests a container engine of their own.
//
// Its one rule: the engine keeps everything below one temporary directory, listens on a socket in
// there, and ends with the tests; a machine's own engine is never touched.
package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
)

// Variable names a socket of an engine that is started already, as scripts/engine prints it.
const Variable = "BOT_BOTTLE_TEST_ENGINE"

// Image is a small Debian with the tools that the tests call.
const Image = testRepo + ":debian"

const (
	testRepo   = "bot-bottle-test"
	startLimit = 60 * time.Second
	// importLimit is for some hundred megabytes, also where the machine is busy.
	importLimit = 4 * time.Minute
	stopLimit   = 30 * time.Second
)

// Engine is a running engine.
type Engine struct {
	Socket string
	Client *engine.Client

	with []Runtime
	dir  string
	cmd  *exec.Cmd
	// bridge is the engine's own.
	bridge netlink.Link
}

// Start returns the engine that Variable names, or starts one. The image is imported from
// BOT_BOTTLE_TEST_IMAGES/debian.tar, where scripts/setup puts it.
func Start(with ...Runtime) (*Engine, error) {
	return startAt(os.Getenv(Variable), with)
}

// StartOwn starts an engine that nobody else uses, which may be killed.
func StartOwn(with ...Runtime) (*Engine, error) { return startAt("", with) }

// Runtime is one that an engine which is started here has beside its own.
type Runtime struct{ Name, Path string }

func startAt(socket string, with []Runtime) (*Engine, error) {
	e := &Engine{Socket: socket, with: with}
	if e.Socket == "" {
		if err := e.start(); err != nil {
			return nil, err
		}
	}
	e.Client = engine.New(e.Socket)
	if err := e.image(); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

func (e *Engine) start() (err error) {
	if os.Geteuid() != 0 {
		return errors.New("an engine can only be started by root")
	}
	program, err := exec.LookPath("dockerd")
	if err != nil {
		return errors.New("there is no dockerd; run scripts/setup test")
	}
	if e.bridge, err = e.newBridge(); err != nil {
		return err
	}
	if e.dir, err = os.MkdirTemp("", "bot-bottle-engine-"); err != nil {
		return err
	}
	e.Socket = filepath.Join(e.dir, "docker.sock")
	return e.serve(program)
}

// Restart starts an engine that was killed again, with all it kept.
func (e *Engine) Restart() error {
	_ = e.cmd.Wait() // what it was killed with is no news
	// Its containerd dies with it, and is taken for alive where nobody reaps it.
	_ = os.Remove(filepath.Join(e.dir, "exec", "containerd", "containerd.pid"))
	return e.serve(e.cmd.Path)
}

// serve starts the engine's program and waits until it answers.
func (e *Engine) serve(program string) error {
	ready, said, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	args := []string{"--data-root", e.dir + "/data", "--exec-root", e.dir + "/exec", "--pidfile", e.dir + "/pid",
		"-H", "unix://" + e.Socket, "--group", "root", "--bridge", e.bridge.Attrs().Name, "--iptables=false", "--ip6tables=false"}
	for _, r := range e.with {
		args = append(args, "--add-runtime", r.Name+"="+r.Path)
	}
	e.cmd = exec.CommandContext(context.Background(), program, args...)
	e.cmd.Stdout, e.cmd.Stderr = said, said
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	err = e.cmd.Start()
	_ = said.Close()
	if err != nil {
		return err
	}
	up := make(chan bool, 1)
	log, err := os.Create(filepath.Join(e.dir, "log"))
	if err != nil {
		return err
	}
	go func() {
		defer log.Close()
		w := &until{mark: []byte("API listen on"), seen: up}
		_, _ = io.Copy(io.MultiWriter(log, w), ready)
		close(up)
	}()
	select {
	case ok := <-up:
		if !ok {
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the engine did not start:\n%s", said[max(0, len(said)-2000):])
		}
		return nil
	case <-time.After(startLimit):
		e.Stop()
		return errors.New("the engine did not start in time")
	}
}

// newBridge makes the engine's default bridge: without one it would take docker0, which belongs to
// the machine's own engine, and told to have none it would remove that.
func (e *Engine) newBridge() (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("bbtest%d", os.Getpid()%1e6)
	for n := 0; ; n++ {
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		err := netlink.LinkAdd(bridge)
		if errors.Is(err, os.ErrExist) && n < 8 { // another engine of this process
			attrs.Name = fmt.Sprintf("bbtest%d-%d", os.Getpid()%1e6, n)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot make a bridge for the engine: %w", err)
		}
		e.bridge = bridge
		address := &net.IPNet{IP: net.IPv4(10, 231, byte(80+(os.Getpid()+n)%100), 1), Mask: net.CIDRMask(24, 32)}
		if err := netlink.AddrAdd(bridge, &netlink.Addr{IPNet: address}); err != nil {
			return nil, fmt.Errorf("cannot make a bridge for the engine: %w", err)
		}
		return bridge, nil
	}
}

// until tells when a mark was written.
type until struct {
	mark, held []byte
	seen       chan<- bool
}

func (u *until) Write(p []byte) (int, error) {
	if u.mark == nil {
		return len(p), nil
	}
	u.held = append(u.held, p...)
	if bytes.Contains(u.held, u.mark) {
		u.mark, u.held = nil, nil
		u.seen <- true
	}
	return len(p), nil
}

func (e *Engine) image() error { return e.imported("debian") }

// NodeImage returns an image with node and npm, on which the providers' Dockerfiles can be built.
func (e *Engine) NodeImage() (string, error) { return testRepo + ":node", e.imported("node") }

// imported makes an image of what scripts/engine-image made.
func (e *Engine) imported(tag string) error {
	ctx, cancel := context.WithTimeout(context.Background(), importLimit)
	defer cancel()
	there, err := e.Client.HasImage(ctx, testRepo+":"+tag)
	if err != nil || there {
		return err
	}
	dir := os.Getenv("BOT_BOTTLE_TEST_IMAGES")
	if dir == "" {
		dir = "/var/cache/bot-bottle-test/engine"
	}
	f, err := os.Open(filepath.Join(dir, tag+".tar")) //nolint:gosec // the tester names it
	if err != nil {
		return fmt.Errorf("there is no image to test with: %w; run scripts/setup test", err)
	}
	defer f.Close()
	return e.Client.ImportImage(ctx, testRepo, tag, []string{"ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, f)
}

// Kill ends the engine as a crash does: with no word to anybody. Its containers go on as they are.
func (e *Engine) Kill() error { return e.cmd.Process.Kill() }

// orphaned ends what outlives a killed engine: its containerd and the shims of its containers, which
// alone have its directory on their command lines.
func (e *Engine) orphaned() {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		line, err := os.ReadFile(name)
		pid, perr := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil || perr != nil || pid == os.Getpid() || !bytes.Contains(line, []byte(e.dir+"/")) {
			continue
		}
		process, err := os.FindProcess(pid) // a pidfd: what is killed is what was read, or gone
		if err != nil {
			continue
		}
		if again, err := os.ReadFile(name); err == nil && bytes.Equal(again, line) {
			_ = process.Kill()
		}
	}
}

// unmount lets go of what a killed engine had mounted.
func (e *Engine) unmount() {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	lines := strings.Split(string(mounts), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if f := strings.Fields(lines[i]); len(f) > 1 && strings.HasPrefix(f[1], e.dir+"/") {
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
}

// Stop ends an engine that Start started and removes all it kept.
func (e *Engine) Stop() {
	if e.cmd == nil {
		return
	}
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(stopLimit):
		_ = e.cmd.Process.Kill()
		<-ended
	}
	if e.bridge != nil { // Podman's has none
		_ = netlink.LinkDel(e.bridge)
	}
	e.orphaned()
	e.unmount()
	_ = os.RemoveAll(e.dir)
}

// Call makes a request that the driver has no use for: a network, a foreign container.
func (e *Engine) Call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var d net.Dialer
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", e.Socket)
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s", method, path, raw)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	return err
}
