package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// Where programs are looked for when the environment names no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// grace is how long the output of a command that has ended is still read when something that it
// left behind holds it open.
const grace = 200 * time.Millisecond

// patience is how long a command that was told to end may take.
const patience = 10 * time.Second

// command is a running program with its streams.
type command struct {
	reaper *Reaper
	proc   *process
	stdin  *os.File // nil: none; with a terminal the terminal itself
	out    []*os.File
	tty    *os.File // nil without a terminal
}

// start runs what req asks for. The streams are pipes, or a terminal of its own.
func start(r *Reaper, req *wire.Request, home string) (*command, error) {
	path, err := lookup(req.Args, req.Env, req.Dir)
	if err != nil {
		return nil, err
	}
	dir := req.Dir
	if dir == "" {
		dir = home
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, wire.Fail(wire.FailNotFound, fmt.Sprintf("cannot run %q in %s: no such directory in the bottle", req.Args[0], dir))
	}
	c := &command{reaper: r}
	var theirs []*os.File
	if req.TTY {
		theirs, err = c.terminal(req.Rows, req.Cols)
	} else {
		theirs, err = c.pipes(req.NoIn)
	}
	if err != nil {
		return nil, err
	}
	attr := &syscall.ProcAttr{Dir: dir, Env: req.Env, Sys: &syscall.SysProcAttr{Setsid: true}}
	for _, f := range theirs {
		attr.Files = append(attr.Files, f.Fd())
	}
	if req.TTY {
		attr.Sys.Setctty = true
	}
	if attr.Env == nil {
		attr.Env = []string{}
	}
	c.proc, err = r.launch(path, req.Args, attr, req.Agent)
	closeAll(theirs)
	if err != nil {
		c.close()
		return nil, wire.Fail(kindOf(err), fmt.Sprintf("cannot run %q: %v", req.Args[0], err))
	}
	return c, nil
}

func kindOf(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return wire.FailNotFound
	case errors.Is(err, os.ErrPermission):
		return wire.FailDenied
	}
	return wire.FailInvalid
}

// lookup finds a program as execvp(3) does, in the environment that the program gets.
func lookup(args, env []string, dir string) (string, error) {
	if len(args) == 0 || args[0] == "" {
		return "", wire.Fail(wire.FailInvalid, "cannot run nothing: the command is empty")
	}
	name := args[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join("/", dir, name) //nolint:gocritic // absolute and within /, whatever dir is
		}
		return name, nil
	}
	list := defaultPath
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok {
			list = value
		}
	}
	for _, d := range filepath.SplitList(list) {
		if !filepath.IsAbs(d) {
			continue
		}
		candidate := filepath.Join(d, name)
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && unix.Access(candidate, unix.X_OK) == nil {
			return candidate, nil
		}
	}
	return "", wire.Fail(wire.FailNotFound, fmt.Sprintf("cannot run %q: it is not in the bottle's PATH", name))
}

func (c *command) pipes(noIn bool) (theirs []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(theirs)
			c.close()
		}
	}()
	if noIn {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return theirs, fmt.Errorf("cannot open %s: %w", os.DevNull, err)
		}
		theirs = append(theirs, null)
	} else {
		read, write, err := os.Pipe()
		if err != nil {
			return theirs, fmt.Errorf("cannot make a pipe: %w", err)
		}
		theirs, c.stdin = append(theirs, read), write
	}
	for range 2 {
		read, write, err := os.Pipe()
		if err != nil {
			return theirs, fmt.Errorf("cannot make a pipe: %w", err)
		}
		theirs, c.out = append(theirs, write), append(c.out, read)
	}
	return theirs, nil
}

func (c *command) close() {
	if c.stdin != nil {
		_ = c.stdin.Close()
	}
	for _, f := range c.out {
		if f != c.stdin {
			_ = f.Close()
		}
	}
}

func closeAll(files []*os.File) {
	for i, f := range files {
		if i == 0 || f != files[0] {
			_ = f.Close()
		}
	}
}

// exit is the command's end in the shell's terms.
func (c *command) exit() wire.Exit {
	status := c.proc.status
	if status.Signaled() {
		return wire.Exit{
			Code:   128 + int(status.Signal()),
			Signal: strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG"),
		}
	}
	return wire.Exit{Code: status.ExitStatus()}
}

// end tells the command's group to end, and kills it when it does not.
func (c *command) end() {
	_ = c.reaper.signalGroup(c.proc, syscall.SIGTERM)
	_ = c.reaper.signalGroup(c.proc, syscall.SIGCONT)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.proc.done:
	case <-timer.C:
		_ = c.reaper.signalGroup(c.proc, syscall.SIGKILL)
	}
}

// signal delivers a named signal to whom a terminal's keys would: the foreground group.
func (c *command) signal(name string) error {
	s := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
	if s == 0 {
		return wire.Fail(wire.FailInvalid, fmt.Sprintf("cannot send %q: no such signal", name))
	}
	if c.tty != nil {
		return c.reaper.signalForeground(c.proc, c.tty, s)
	}
	return c.reaper.signalGroup(c.proc, s)
}

// drain reads one of the command's outputs to its end: until nobody holds it, or until all that
// was written before the command ended has been read and the grace is over.
func (c *command) drain(f *os.File, each func([]byte) error) {
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-c.proc.done:
			_ = f.SetReadDeadline(time.Now().Add(grace))
		case <-ended:
		}
	}()
	buf := make([]byte, 64<<10)
	lost := false
	forward := func(p []byte) {
		if !lost && len(p) > 0 && each(p) != nil {
			lost = true // go on reading: a command must not hang on a reader that went away
		}
	}
	for {
		n, err := f.Read(buf)
		forward(buf[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.rest(f, buf, forward)
			return
		}
		if err != nil {
			return
		}
	}
}

// rest forwards what is already in the pipe and no more.
func (c *command) rest(f *os.File, buf []byte, forward func([]byte)) {
	_ = control(f, func(fd int) error {
		left, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
		for err == nil && left > 0 {
			var n int
			if n, err = unix.Read(fd, buf[:min(left, len(buf))]); n <= 0 {
				break
			}
			forward(buf[:n])
			left -= n
		}
		return err
	})
}
