package native_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/native"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

const patience = 20 * time.Second

// processes of a bottle, as its record names them.
func processes(t *testing.T, run string) (guest, sidecar int) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(run, "native.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Guest, Sidecar struct{ PID int } }
	if err := json.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}
	return r.Guest.PID, r.Sidecar.PID
}

// watch opens a process, so that its end can be waited for.
func watch(t *testing.T, pid int) (fd int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func mustEnd(t *testing.T, fd int, what string) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("%s did not end: %v", what, err)
		}
		return
	}
}

func live(t *testing.T) (d backend.Driver, h backend.Handle, run string) {
	t.Helper()
	root := t.TempDir()
	d = open(t, root)
	p := backendtest.Plan(root)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	h, err := d.Prepare(ctx, p)
	if err == nil {
		_, err = d.Launch(ctx, h)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Teardown(context.Background(), h) })
	return d, h, p.Paths.Run
}

func TestDeathOfOneProcessEndsAll(t *testing.T) {
	for _, victim := range []string{"guest", "sidecar"} {
		t.Run(victim, func(t *testing.T) {
			d, h, run := live(t)
			guest, sidecar := processes(t, run)
			guestFD, sidecarFD := watch(t, guest), watch(t, sidecar)
			killed := map[string]int{"guest": guestFD, "sidecar": sidecarFD}[victim]
			if err := unix.PidfdSendSignal(killed, unix.SIGKILL, nil, 0); err != nil {
				t.Fatal(err)
			}
			mustEnd(t, guestFD, "the guest")
			mustEnd(t, sidecarFD, "the sidecar")
			select {
			case <-d.Done(h):
			case <-time.After(patience):
				t.Fatal("Done did not tell")
			}
			if err := d.Teardown(context.Background(), h); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(run); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the run directory is left: %v", err)
			}
		})
	}
}

// The parent-death signal may fail; the lifeline alone must do.
func TestTheLifelineAloneEndsABottle(t *testing.T) {
	d, h, run := live(t)
	guest, _ := processes(t, run)
	fd := watch(t, guest)
	native.CutLifeline(t, d, h.ID)
	mustEnd(t, fd, "the guest")
}

// owned starts another process that owns a bottle.
func owned(t *testing.T, root string) (owner *exec.Cmd, id instance.ID) {
	t.Helper()
	owner = exec.Command("/proc/self/exe", "owner", root)
	owner.Stderr = os.Stderr
	in, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = owner.Process.Kill()
		_ = owner.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return owner, instance.ID(strings.TrimSpace(line))
}

func TestOwnerKilledEndsAllAndCleanupFindsTheRest(t *testing.T) {
	root := t.TempDir()
	owner, id := owned(t, root)
	run := filepath.Join(root, string(id), "run")
	guest, sidecar := processes(t, run)
	guestFD, sidecarFD := watch(t, guest), watch(t, sidecar)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, guestFD, "the guest")
	mustEnd(t, sidecarFD, "the sidecar")

	d := open(t, root)
	removed, err := d.Cleanup(t.Context(), func(instance.ID) bool { return false })
	if err != nil || len(removed.Items[id]) == 0 {
		t.Errorf("removed %v, %v", removed.Items, err)
	}
	if _, err := os.Stat(run); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the run directory is left: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, string(id), "home")); err != nil {
		t.Errorf("the home is gone: %v", err)
	}
}

func TestARunThatDiedIsPreparedAgain(t *testing.T) {
	root := t.TempDir()
	owner, id := owned(t, root)
	p := backendtest.Plan(root)
	p.ID = id
	p.Paths.State = filepath.Join(root, string(id))
	p.Paths.Proposals = p.Paths.State + "/supervise/proposals.jsonl"
	p.Paths.Home, p.Paths.Run, p.Paths.Audit = p.Paths.State+"/home", p.Paths.State+"/run", p.Paths.State+"/audit.jsonl"
	d := open(t, root)
	if _, err := d.Prepare(t.Context(), p); err == nil {
		t.Fatal("it was prepared while another process runs it")
	}
	guest, sidecar := processes(t, p.Paths.Run)
	guestFD, sidecarFD := watch(t, guest), watch(t, sidecar)
	_ = owner.Process.Kill()
	_ = owner.Wait() // its lock goes with it
	mustEnd(t, guestFD, "the guest")
	mustEnd(t, sidecarFD, "the sidecar")
	h, err := d.Prepare(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Launch(t.Context(), h); err != nil {
		t.Error(err)
	}
	if err := d.Teardown(context.Background(), h); err != nil {
		t.Error(err)
	}
}

// An agent can give its processes any title. Those are not taken for bottles of others.
func TestATitleIsNotBelieved(t *testing.T) {
	d, h, _ := live(t)
	other := instance.New("other")
	title := native.Title(t, d, other)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := make(chan struct{})
	ready := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = d.Exec(ctx, h, backend.Command{Args: []string{"bash", "-c", "echo; exec -a '" + title + "' sleep 1000"}}, backend.Stdio{Out: signalled(ready)})
	}()
	<-ready
	for range 100 { // the title changes some time after the output
		entries, err := d.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Handle.ID == other {
				t.Fatalf("believed: %+v", e)
			}
		}
	}
	cancel()
	<-over
}

type signalled chan struct{}

func (s signalled) Write(p []byte) (int, error) {
	close(s)
	return len(p), nil
}

func TestAHomeThatIsBroughtInFailsTheSelfCheck(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	root := t.TempDir()
	d := open(t, root)
	p := backendtest.Plan(root)
	p.Mounts = []plan.Mount{{HostPath: home, Path: home}}
	h, err := d.Prepare(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	report, err := d.Launch(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "the host's home") {
		t.Errorf("it was launched: %v, %+v", err, report)
	}
	select {
	case <-d.Done(h):
	case <-time.After(patience):
		t.Error("a bottle that did not hold goes on")
	}
	if err := d.Teardown(context.Background(), h); err != nil {
		t.Error(err)
	}
}

func TestTrustIsInTheBundleUnderEveryName(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	p := backendtest.Plan(root)
	h, err := d.Prepare(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Teardown(context.Background(), h) }()
	truster := d.(backend.Truster)
	if err := truster.Trust(t.Context(), h, "-----THE BOTTLE'S-----\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Launch(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if err := truster.Trust(t.Context(), h, "late"); err == nil {
		t.Error("a sealed bottle was told to trust")
	}
	for _, name := range []string{plan.CABundle, "/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt"} {
		exit, err := d.Exec(t.Context(), h, backend.Command{Args: []string{"grep", "-q", "THE BOTTLE'S", name}}, backend.Stdio{})
		if err != nil || exit.Code != 0 {
			t.Errorf("%s: %+v %v", name, exit, err)
		}
	}
}

// The sidecar has one variable, for its HTTP/2 library, and the guest none.
func TestProcessesGetNoEnvironmentOfTheCaller(t *testing.T) {
	t.Setenv("CALLERS_OWN", "secret")
	_, _, run := live(t)
	guest, sidecar := processes(t, run)
	for pid, want := range map[int]string{guest: "", sidecar: plan.SidecarEnv + "\x00"} {
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if errors.Is(err, os.ErrPermission) {
			continue // the guest is closed to all but root
		}
		if err != nil || string(environment) != want {
			t.Errorf("process %d: %q %v", pid, environment, err)
		}
	}
}

// Root's groups must not follow a process into the bottle.
func TestGroupsOfRootAreDropped(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Require(t, need.Root, errors.New("only root can drop them"))
	}
	before, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Setgroups(before) })
	if err := syscall.Setgroups([]int{0, 4}); err != nil {
		t.Fatal(err)
	}
	_, _, run := live(t)
	guest, _ := processes(t, run)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", guest))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if groups, ok := strings.CutPrefix(line, "Groups:"); ok && strings.TrimSpace(groups) != "" {
			t.Errorf("groups of init: %s", groups)
		}
	}
}
