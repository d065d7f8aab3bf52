package native

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// child is a process of this one.
type child struct {
	process process
	done    chan struct{} // closed when it has ended and was collected
	said    *tail         // the end of its stderr
}

// spawn starts this program again, with an empty environment and no descriptors but files, the
// first of which becomes 3. It dies with this process: the lifeline among the files sees to it,
// and the parent-death signal in case that it hangs. That signal is tied to the thread that
// started the child, so that thread waits for it and does nothing else.
func (d *Driver) spawn(id instance.ID, subcommand string, files []*os.File, sys *syscall.SysProcAttr) (*child, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", os.DevNull, err)
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	argv := append([]string{title(d.root, id)}, d.self[1:]...)
	argv = append(argv, subcommand)
	sys.Pdeathsig = syscall.SIGKILL
	env := []string{}
	if subcommand == "sidecar" {
		env = append(env, plan.SidecarEnv)
	}
	attr := &os.ProcAttr{Dir: "/", Env: env, Files: append([]*os.File{null, null, write}, files...), Sys: sys}

	c := &child{done: make(chan struct{}), said: newTail(read)}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the child
		p, err := os.StartProcess(d.self[0], argv, attr)
		if err == nil {
			c.process, err = identify(p.Pid)
		}
		started <- err
		if p != nil {
			_, _ = p.Wait()
			c.said.wait()
		}
		close(c.done)
	}()
	err = <-started
	_ = write.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot start the %s: %w", subcommand, err)
	}
	return c, nil
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// tail keeps the end of what a process says.
type tail struct {
	over chan struct{}

	mu   sync.Mutex // guards text
	text []byte
}

const tailSize = 4 << 10

func newTail(r *os.File) *tail {
	t := &tail{over: make(chan struct{})}
	go func() {
		defer close(t.over)
		defer r.Close()
		_, _ = io.Copy(t, r)
	}()
	return t
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > tailSize {
		t.text = append([]byte(nil), t.text[len(t.text)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) wait() { <-t.over }

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
