package cli

import (
	"bytes"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
)

func TestScreenSwitchesOffWhatAnAgentLeftOn(t *testing.T) {
	for _, tt := range []struct{ name, shown, undone string }{
		{"plain text", "hello\r\n", ""},
		{"colours that are reset by the agent", "\x1b[31mred\x1b[0m", ""},
		{"the alternate screen", "\x1b[?1049h", "\x1b[?1049l\x1b[0m\r\n"},
		{"the alternate screen, left again", "\x1b[?1049hx\x1b[?1049l", ""},
		{"a hidden cursor", "\x1b[?25l", "\x1b[?25h\x1b[0m\r\n"},
		{"the last goes first", "\x1b[?1049h\x1b[?1000;1006h", "\x1b[?1006l\x1b[?1000l\x1b[?1049l\x1b[0m\r\n"},
		{"one mode twice", "\x1b[?2004h\x1b[?2004h", "\x1b[?2004l\x1b[0m\r\n"},
		{"kitty's keys", "\x1b[>1u\x1b[>5u\x1b[<u", "\x1b[<1u\x1b[0m\r\n"},
		{"kitty's keys, all given back", "\x1b[>1u\x1b[<9u", ""},
		{"modifyOtherKeys", "\x1b[>4;2m", "\x1b[>4m\x1b[0m\r\n"},
		{"a frame", "\x1b[?2026h", ""},
		{"a sequence that is broken off by another", "\x1b[?10\x1b[?25l", "\x1b[?25h\x1b[0m\r\n"},
		{"what is no number", "\x1b[?;abc;h", ""},
		{"no control sequence", "\x1b]0;title ?25l\x07", ""},
		{"one without end", "\x1b[?" + strings.Repeat("1", 500), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 3, len(tt.shown)} {
				var out bytes.Buffer
				s := &screen{to: &out}
				for rest := []byte(tt.shown); len(rest) > 0; {
					n := min(size, len(rest))
					if w, err := s.Write(rest[:n]); w != n || err != nil {
						t.Fatalf("wrote %d of %d: %v", w, n, err)
					}
					rest = rest[n:]
				}
				s.restore()
				if got := out.String(); got != tt.shown+tt.undone {
					t.Errorf("in pieces of %d: %q", size, strings.TrimPrefix(got, tt.shown))
				}
				s.restore()
				if got := out.String(); got != tt.shown+tt.undone {
					t.Errorf("a second time: %q", got)
				}
			}
		})
	}
}

func TestDetachableEndsAtItsKeys(t *testing.T) {
	for _, tt := range []struct{ name, typed, got string }{
		{"nothing special", "abc", "abc"},
		{"both keys", "ab\x10\x11cd", "ab"},
		{"the first key alone is the agent's", "a\x10b", "a\x10b"},
		{"twice the first, then the second", "\x10\x10\x11x", "\x10"},
		{"the second alone", "a\x11b", "a\x11b"},
		{"at once", "\x10\x11", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, from := range map[string]io.Reader{
				"at once": strings.NewReader(tt.typed), "key by key": iotest.OneByteReader(strings.NewReader(tt.typed)),
			} {
				if got, err := io.ReadAll(&detachable{from: from}); string(got) != tt.got || err != nil {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			}
		})
	}
}

func TestConsoleIsGivenBack(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		need.Require(t, need.Tmux, err)
	}
	defer func() { _ = master.Close(); _ = tty.Close() }()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 20, Cols: 70}); err != nil {
		t.Fatal(err)
	}
	before := modes(t, tty)
	c, err := takeConsole(tty)
	if err != nil {
		t.Fatal(err)
	}
	if raw := modes(t, tty); raw.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 {
		t.Errorf("not raw: %#x", raw.Lflag)
	}
	if got := <-c.resizes; got != (backend.Size{Rows: 20, Cols: 70}) {
		t.Errorf("its size at first: %+v", got)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 33, Cols: 99}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	if got := <-c.resizes; got != (backend.Size{Rows: 33, Cols: 99}) {
		t.Errorf("its size after a resize: %+v", got)
	}
	c.release()
	if after := modes(t, tty); after != before {
		t.Errorf("the modes before %+v, after %+v", before, after)
	}
}

func modes(t *testing.T, tty *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}
