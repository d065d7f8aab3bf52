//go:build linux

package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"golang.org/x/sys/unix"
)

// Process is a gate that this process owns.
type Process struct {
	Fences []string

	control net.Conn
	done    chan struct{} // closed when it has ended and was collected
	process *os.Process
}

// patience is how long a gate may take to end by itself.
const patience = 2 * time.Second

// Start runs this program again as a gate between its owner and the sidecar at the other end of
// link, which it takes over, and returns when it serves. self is the argv prefix that starts this
// program, such as /proc/self/exe. The end of this process, however it ends, is the gate's.
func Start(ctx context.Context, self []string, link net.Conn, setup Setup) (*Process, error) {
	far, err := fileOf(link)
	if err != nil {
		return nil, err
	}
	defer far.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make the gate's socket: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	defer theirs.Close()
	ours := os.NewFile(uintptr(fds[0]), "control")
	p := &Process{done: make(chan struct{})}
	p.control, err = net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot make the gate's socket: %w", err)
	}
	said, err := p.spawn(self, theirs, far)
	if err == nil {
		err = p.configure(ctx, setup, said)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// spawn starts the process. Its parent-death signal is tied to the thread that starts it, so that
// thread waits for it and does nothing else.
func (p *Process) spawn(self []string, files ...*os.File) (said *tail, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", os.DevNull, err)
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	said = &tail{}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		defer read.Close()
		_, _ = io.Copy(said, read)
	}()
	attr := &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: append([]*os.File{null, null, write}, files...),
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	argv := append(append([]string{"bot-bottle:gate"}, self[1:]...), "gate")
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the child
		child, err := os.StartProcess(self[0], argv, attr)
		p.process = child
		started <- err
		if err == nil {
			_, _ = child.Wait()
		}
		_ = write.Close()
		<-drained
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot start the git gate: %w", err)
	}
	return said, nil
}

func (p *Process) configure(ctx context.Context, setup Setup, said *tail) error {
	ready, err := tell(ctx, p.control, setup)
	if err != nil {
		return fault.New(fault.Unavailable, "cannot start the git gate: %w: %s", err, said)
	}
	if ready.Problem != "" {
		return fault.New(fault.Unavailable, "cannot start the git gate: %s", ready.Problem)
	}
	p.Fences = ready.Fences
	return nil
}

// Done is closed when the gate has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Close ends the gate and waits for it.
func (p *Process) Close() error {
	_ = p.control.Close()
	if p.process == nil {
		return nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	if err := p.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot end the git gate: %w", err)
	}
	<-p.done
	return nil
}

// fileOf turns a connection into a descriptor to hand over: its own where it has one, else one end
// of a socket whose other end is copied to it.
func fileOf(conn net.Conn) (*os.File, error) {
	if unixConn, ok := conn.(*net.UnixConn); ok {
		defer conn.Close()
		f, err := unixConn.File()
		if err != nil {
			return nil, fmt.Errorf("cannot hand the link over: %w", err)
		}
		return f, nil
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make the gate's socket: %w", err)
	}
	file := os.NewFile(uintptr(fds[0]), "link")
	ours, err := net.FileConn(file)
	_ = file.Close()
	theirs := os.NewFile(uintptr(fds[1]), "link")
	if err != nil {
		_ = theirs.Close()
		return nil, fmt.Errorf("cannot make the gate's socket: %w", err)
	}
	end := func() { _ = conn.Close(); _ = ours.Close() }
	go func() { defer end(); _, _ = io.Copy(conn, ours) }()
	go func() { defer end(); _, _ = io.Copy(ours, conn) }()
	return theirs, nil
}

// tail keeps the end of what a process says.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > tailSize {
		t.text = append([]byte(nil), t.text[len(t.text)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
