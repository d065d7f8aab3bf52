package e2e_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// conversing is an agent that talks to a person at a terminal.
const conversing = `exec python3 -c '
import os, signal, sys
def size(*_):
    s = os.get_terminal_size()
    os.write(1, b"size %d %d\n" % (s.lines, s.columns)) # print does not bear being interrupted by itself
signal.signal(signal.SIGWINCH, size)
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"interrupted\n"))
print("terminals", [os.isatty(n) for n in (0, 1, 2)], os.environ.get("TERM"), flush=True)
size()
for line in sys.stdin:
    print("heard " + line.strip().upper(), flush=True)
    if line.strip() == "end":
        sys.exit(4)
'
`

// seat is a terminal with a command line at it.
type seat struct {
	*background
	tty *os.File
}

// sit runs a command line at a terminal of its own, of 24 rows and 80 columns.
func (w *world) sit(args ...string) seat {
	w.t.Helper()
	c := w.command(context.Background(), args...)
	b := &background{t: w.t, w: w, cmd: c, ended: make(chan struct{})}
	tty, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(b.ended)
		_, _ = io.Copy(&b.out, tty) // ends with the terminal's last writer
		_ = c.Wait()
	}()
	w.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = tty.Close()
		<-b.ended
	})
	return seat{b, tty}
}

func (s seat) types(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, text); err != nil {
		s.t.Fatal(err)
	}
}

// TestAPersonAtTheTerminal starts, answers, resizes, types, interrupts, joins from a second terminal and
// leaves it, on either backend.
func TestAPersonAtTheTerminal(t *testing.T) {
	t.Run("native", func(t *testing.T) {
		needNative(t)
		w := newWorld(t, standin.Config{})
		w.bottle("workspace: copy\n", claude.Host)
		w.agent(conversing)
		w.isTalkedTo()
	})
	t.Run("docker", func(t *testing.T) { containerWorld(t, conversing).isTalkedTo() })
}

func (w *world) isTalkedTo() {
	w.t.Helper()
	s := w.sit("start", "work")
	s.says("start this bottle? [y/N] ")
	before, err := term.GetState(int(s.tty.Fd()))
	if err != nil {
		w.t.Fatal(err)
	}
	s.types("y\r")
	s.says("terminals [True, True, True] xterm-256color")
	s.says("size 24 80")
	if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 33, Cols: 99}); err != nil {
		w.t.Fatal(err)
	}
	s.says("size 33 99")
	s.types("hello\r")
	s.says("heard HELLO")
	id := w.only().Identity

	other := w.sit("attach", id)
	other.says("heard HELLO") // what came before is shown
	other.types("from the other\r")
	other.says("heard FROM THE OTHER")
	s.says("heard FROM THE OTHER")
	other.types("\x10\x11")
	if r := other.wait(); r.code != 0 {
		w.t.Errorf("leaving: exit %d\n%s", r.code, r.out)
	}
	command := w.sit("exec", id, "--", "sh", "-c", "test -t 0 && stty size && exit 9")
	if r := command.wait(); r.code != 9 || r.out != "24 80\r\n" {
		w.t.Errorf("exec: exit %d %q", r.code, r.out)
	}

	s.types("\x03")
	s.says("interrupted")
	s.types("end\r")
	if r := s.wait(); r.code != 4 {
		w.t.Errorf("exit %d\n%s", r.code, r.out)
	}
	if after, err := term.GetState(int(s.tty.Fd())); err != nil || *after != *before {
		w.t.Errorf("the terminal was left otherwise: %v", err)
	}
	if got := w.only(); got != (row{id, "kept"}) {
		w.t.Errorf("%+v", got)
	}
	if entries, err := os.ReadDir(filepath.Join(w.home, "state", id, "home", "workspace")); err != nil || len(entries) > 0 {
		w.t.Errorf("in the workspace: %v, %v", entries, err)
	}
	w.clean("--preserved")
	w.stateIs()
}
