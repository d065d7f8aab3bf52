package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// ask puts a yes-or-no question on the terminal, also where stdin and stdout are redirected.
// Anything but yes is no.
func ask(ctx context.Context, question string) (bool, error) {
	answer, err := onTerminal(ctx, question+" [y/N] ", readLine)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// readLine reads one line. Ctrl-D on an empty one is io.EOF.
func readLine(tty *os.File) (string, error) {
	line, err := bufio.NewReader(tty).ReadString('\n')
	if errors.Is(err, io.EOF) {
		_, _ = tty.WriteString("\n")
		if line != "" {
			err = nil
		}
	}
	return line, err
}

// askSecret asks for a value without showing it.
func askSecret(ctx context.Context, question string) (secret.String, error) {
	v, err := converse(ctx, question+": ", false, func(tty *os.File) (string, error) {
		raw, err := term.ReadPassword(int(tty.Fd()))
		_, _ = tty.WriteString("\n")
		return string(raw), err
	})
	return secret.New(v), err
}

// onTerminal asks on the controlling terminal and shows what is typed.
func onTerminal(ctx context.Context, prompt string, read func(*os.File) (string, error)) (string, error) {
	return converse(ctx, prompt, true, read)
}

// converse asks on the controlling terminal; without echo nothing that is typed after the prompt
// is ever shown. The terminal gets its modes back. When ctx ends first, the reader is left to the
// process's end.
func converse(ctx context.Context, prompt string, echo bool, read func(*os.File) (string, error)) (string, error) {
	tty, err := openTerminal()
	if err != nil {
		return "", err
	}
	modes, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", fault.New(fault.Internal, "cannot use the terminal: %w", err)
	}
	if !echo {
		if err := hush(tty); err != nil {
			return "", err
		}
	}
	if _, err := tty.WriteString(prompt); err != nil {
		return "", fault.New(fault.Internal, "cannot use the terminal: %w", err)
	}
	type reply struct {
		text string
		err  error
	}
	done := make(chan reply, 1)
	go func() {
		text, err := read(tty)
		done <- reply{text, err}
	}()
	select {
	case r := <-done:
		_ = term.Restore(int(tty.Fd()), modes) // fails with the terminal only
		_ = tty.Close()
		if errors.Is(r.err, io.EOF) {
			return "", fault.New(fault.Canceled, "no answer on the terminal")
		}
		if r.err != nil {
			return "", fault.New(fault.Canceled, "no answer on the terminal: %w", r.err)
		}
		return r.text, nil
	case <-ctx.Done():
		_ = term.Restore(int(tty.Fd()), modes)
		_, _ = tty.WriteString("\n")
		return "", ctx.Err()
	}
}

// hush switches the echo off.
func hush(tty *os.File) error {
	modes, err := unix.IoctlGetTermios(int(tty.Fd()), getSettings)
	if err == nil {
		modes.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(tty.Fd()), setSettings, modes)
	}
	if err != nil {
		return fault.New(fault.Internal, "cannot use the terminal: %w", err)
	}
	return nil
}

func openTerminal() (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, fault.WithHint(fault.New(fault.Invalid, "there is no terminal to ask on"), "answer in advance with --yes, or run without one with --headless --prompt TEXT")
	}
	return tty, nil
}

func hasTerminal() bool {
	tty, err := openTerminal()
	if err != nil {
		return false
	}
	_ = tty.Close()
	return true
}

// console is the caller's terminal while an agent has it.
type console struct {
	in      *os.File
	modes   *term.State
	resizes chan backend.Size
	winch   chan os.Signal
	stopped chan struct{}
}

// takeConsole puts the terminal into raw mode and follows its size. Give it back with release.
func takeConsole(in *os.File) (*console, error) {
	modes, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fault.New(fault.Internal, "cannot take the terminal: %w", err)
	}
	c := &console{in: in, modes: modes, resizes: make(chan backend.Size, 1), winch: make(chan os.Signal, 1), stopped: make(chan struct{})}
	signal.Notify(c.winch, syscall.SIGWINCH)
	if size, err := sizeOf(in); err == nil {
		c.resizes <- size // an agent that is joined may think of another size
	}
	go c.follow()
	return c, nil
}

func (c *console) follow() {
	defer close(c.stopped)
	for range c.winch {
		size, err := sizeOf(c.in)
		if err != nil {
			continue
		}
		select {
		case <-c.resizes: // only the newest counts
		default:
		}
		c.resizes <- size
	}
}

func (c *console) release() {
	signal.Stop(c.winch)
	close(c.winch)
	<-c.stopped
	_ = term.Restore(int(c.in.Fd()), c.modes) // the terminal may be gone with its user
}

func sizeOf(f *os.File) (backend.Size, error) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return backend.Size{}, err
	}
	return backend.Size{Rows: ws.Row, Cols: ws.Col}, nil
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
