package sidecar_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/sidecar"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"golang.org/x/sys/unix"
)

// The test program is the sidecar, too, as the real one is a face of its program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sidecar" {
		os.Exit(sidecar.Main(os.Args[2:]))
	}
	if len(os.Args) == 3 && os.Args[1] == "count-roots" {
		os.Exit(countRoots(os.Args[2] == "fenced"))
	}
	if len(os.Args) == 3 && os.Args[1] == "ask-status" {
		os.Exit(askStatus(os.Args[2]))
	}
	os.Exit(m.Run())
}

const deadline = 20 * time.Second

// rig is a sidecar process as a backend starts one.
type rig struct {
	cmd      *exec.Cmd
	client   *control.Client
	conn     net.Conn
	handover *os.File
	status   string // path of the status socket
	auditLog string
	inbox    string // the journal of proposals
	stderr   *bytes.Buffer
	tcp      string // addresses of the listeners
	dns      string
	names    []string
	sockets  []*os.File

	wait func() error
}

func pair(t testing.TB) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// start runs a sidecar that waits for its configuration and its listeners.
func start(t testing.TB, args ...string) *rig {
	t.Helper()
	return startWith(t, func(path string) (*os.File, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	}, args...)
}

func startWith(t testing.TB, openLog func(path string) (*os.File, error), args ...string) *rig {
	t.Helper()
	dir := must[string](t)(os.MkdirTemp("", "bb")) //nolint:usetesting // short: a socket's path has 108 bytes
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{status: filepath.Join(dir, "s.sock"), auditLog: filepath.Join(dir, "audit.jsonl"), inbox: filepath.Join(dir, "proposals.jsonl"), stderr: &bytes.Buffer{}}
	ours, theirs := pair(t)
	handover, theirHandover := pair(t)
	r.handover = handover
	r.conn = must[net.Conn](t)(net.FileConn(ours))
	ours.Close()
	log := must[*os.File](t)(openLog(r.auditLog))
	inbox := must[*os.File](t)(os.OpenFile(r.inbox, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600))
	listener := must[*net.UnixListener](t)(net.ListenUnix("unix", &net.UnixAddr{Name: r.status, Net: "unix"}))
	status := must[*os.File](t)(listener.File())
	listener.SetUnlinkOnClose(false)
	r.cmd = exec.Command("/proc/self/exe", append([]string{"sidecar"}, args...)...)
	r.cmd.Env = []string{"LEFTOVER=1", plan.SidecarEnv}
	r.cmd.ExtraFiles = []*os.File{theirs, theirHandover, log, status, inbox}
	r.cmd.Stderr = r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.cmd.ExtraFiles {
		f.Close()
	}
	listener.Close()
	r.wait = sync.OnceValue(r.cmd.Wait)
	r.client = control.NewClient(r.conn)
	t.Cleanup(func() {
		r.conn.Close()
		r.handover.Close()
		_ = r.wait()
	})
	r.listen(t)
	return r
}

// listen opens the sockets of the bottle.
func (r *rig) listen(t testing.TB) {
	t.Helper()
	tcp := must[net.Listener](t)(net.Listen("tcp4", "127.0.0.1:0"))
	udp := must[net.PacketConn](t)(net.ListenPacket("udp4", "127.0.0.1:0"))
	dnsTCP := must[net.Listener](t)(net.Listen("tcp4", "127.0.0.1:0"))
	r.tcp, r.dns = tcp.Addr().String(), udp.LocalAddr().String()
	r.names = []string{sidecar.ListenTCP4, sidecar.ListenDNS4, sidecar.ListenDNST4}
	r.sockets = []*os.File{
		must[*os.File](t)(tcp.(*net.TCPListener).File()),
		must[*os.File](t)(udp.(*net.UDPConn).File()),
		must[*os.File](t)(dnsTCP.(*net.TCPListener).File()),
	}
	tcp.Close()
	udp.Close()
	dnsTCP.Close()
}

// hand gives the listeners over.
func (r *rig) hand(t testing.TB) {
	t.Helper()
	payload := must[[]byte](t)(json.Marshal(r.names))
	var fds []int
	for _, f := range r.sockets {
		fds = append(fds, int(f.Fd()))
	}
	if err := unix.Sendmsg(int(r.handover.Fd()), payload, unix.UnixRights(fds...), nil, 0); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.sockets {
		f.Close()
	}
}

// ends waits for the process and returns its exit code.
func (r *rig) ends(t testing.TB) int {
	t.Helper()
	done := make(chan struct{})
	go func() {
		_ = r.wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(deadline):
		_ = r.cmd.Process.Kill()
		t.Fatal("the sidecar does not end")
	}
	return r.cmd.ProcessState.ExitCode()
}

func (r *rig) events(t testing.TB, filter audit.Filter) (events []audit.Event) {
	t.Helper()
	for e, err := range audit.Read(t.Context(), r.auditLog, filter, false) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}
