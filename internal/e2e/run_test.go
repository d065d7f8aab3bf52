package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// eventually waits until is holds.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-tick.C
	}
}

// output is a stream that can be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// background is a command line that runs beside the test.
type background struct {
	t        *testing.T
	w        *world
	cmd      *exec.Cmd
	out, err output
	ended    chan struct{}
}

func (w *world) spawn(c *exec.Cmd) *background {
	w.t.Helper()
	b := &background{t: w.t, w: w, cmd: c, ended: make(chan struct{})}
	c.Stdout, c.Stderr = &b.out, &b.err
	c.WaitDelay = patience
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(b.ended)
		_ = c.Wait()
	}()
	w.t.Cleanup(func() {
		_ = c.Process.Kill()
		<-b.ended
	})
	return b
}

// begin starts the agent "work" in the background.
func (w *world) begin(more ...string) *background {
	w.t.Helper()
	args := slices.Concat([]string{"start", "work", "--yes", "--headless", "--prompt", "x"}, more)
	return w.spawn(w.command(context.Background(), args...))
}

// wait returns how it ended.
func (b *background) wait() result {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(patience):
		b.t.Fatalf("%q does not end\n%s\n%s", b.cmd.Args, b.out.String(), b.err.String())
	}
	return result{b.cmd.ProcessState.ExitCode(), b.out.String(), b.err.String()}
}

func (b *background) signal(s syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// says waits until stdout holds a text.
func (b *background) says(text string) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(b.out.String(), text) {
		select {
		case <-b.ended:
			if !strings.Contains(b.out.String(), text) {
				b.t.Fatalf("ended with %d and did not say %q\n%s\n%s", b.cmd.ProcessState.ExitCode(), text, b.out.String(), b.err.String())
			}
		case <-deadline:
			b.t.Fatalf("does not say %q\n%s\n%s", text, b.out.String(), b.err.String())
		case <-tick.C:
		}
	}
}

// gate is where a held program waits.
type gate struct {
	t        *testing.T
	listener *net.UnixListener
	conn     net.Conn
}

// hold prepares a command line that waits before a phase.
func (w *world) hold(phase string, args ...string) (*exec.Cmd, *gate) {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		w.t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close(); _ = os.RemoveAll(dir) })
	c := w.commandOf(context.Background(), held, args...)
	c.Env = append(c.Env, "BOT_BOTTLE_TEST_PAUSE="+phase+":"+socket)
	return c, &gate{t: w.t, listener: l}
}

// reached waits until the program is held.
func (g *gate) reached() {
	g.t.Helper()
	_ = g.listener.SetDeadline(time.Now().Add(patience))
	c, err := g.listener.Accept()
	if err != nil {
		g.t.Fatalf("the phase was not reached: %v", err)
	}
	g.conn = c
}

func (g *gate) open() { _ = g.conn.Close() }

// row is a bottle as `list --json` shows it.
type row struct{ Identity, State string }

func (w *world) list() []row {
	w.t.Helper()
	r := w.run("list", "--json")
	var rows []row
	if err := json.Unmarshal([]byte(r.out), &rows); err != nil || r.code != 0 {
		w.t.Fatalf("list: exit %d, %v\n%s\n%s", r.code, err, r.out, r.err)
	}
	return rows
}

// only returns the one bottle there is.
func (w *world) only() row {
	w.t.Helper()
	rows := w.list()
	if len(rows) != 1 {
		w.t.Fatalf("want one bottle, there is %+v", rows)
	}
	return rows[0]
}

// pid returns the process of this world's only "guest" or "sidecar".
func (w *world) pid(face string) int {
	w.t.Helper()
	for pid, line := range commandLines() {
		if strings.HasPrefix(line, w.title()) && strings.HasSuffix(strings.TrimSpace(line), " "+face) {
			return pid
		}
	}
	w.t.Fatalf("there is no %s among %q", face, w.processes())
	return 0
}

// stateIs checks what lies in the state directory: nothing but these identities.
func (w *world) stateIs(ids ...string) {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.home, "state"))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, ids) {
		w.t.Errorf("state holds %q, want %q", names, ids)
	}
}
