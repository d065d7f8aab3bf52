package fake

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// agent is the program that others may join.
type agent struct {
	signals chan string
	done    chan struct{}
	exit    backend.Exit // set before done is closed

	mu      sync.Mutex // guards what follows
	past    []byte
	viewers []io.Writer
}

// Write shows the agent's output to those who joined.
func (a *agent) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.past = append(a.past, p...)
	for _, v := range a.viewers {
		_, _ = v.Write(p)
	}
	return len(p), nil
}

func (a *agent) join(w io.Writer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = w.Write(a.past)
	a.viewers = append(a.viewers, w)
}

// Exec implements backend.Sessions. A program ends by its own decision, by a signal, or with the
// bottle, which is fault.Unavailable.
func (d *Driver) Exec(ctx context.Context, h backend.Handle, c backend.Command, stdio backend.Stdio) (backend.Exit, error) {
	l, err := d.running(h)
	if err != nil {
		return backend.Exit{}, err
	}
	if len(c.Args) == 0 {
		return backend.Exit{}, fault.New(fault.Invalid, "cannot run nothing: the command is empty")
	}
	program := d.program(c.Args[0])
	if program == nil {
		return backend.Exit{}, fault.New(fault.NotFound, "cannot run %q: it is not in the bottle's PATH", c.Args[0])
	}
	a := &agent{signals: make(chan string, 1), done: make(chan struct{})}
	if c.Agent {
		if err := l.claim(a); err != nil {
			return backend.Exit{}, err
		}
		defer l.release()
	}
	return l.run(ctx, program, c, stdio, a)
}

func (l *life) run(ctx context.Context, program Program, c backend.Command, stdio backend.Stdio, a *agent) (backend.Exit, error) { //nolint:contextcheck // a program ends with the bottle, and run stops it when ctx ends
	defer close(a.done)
	inner, stop := context.WithCancel(l.ctx)
	defer stop()
	stdio = filled(stdio)
	if c.Agent {
		stdio.Out = io.MultiWriter(stdio.Out, a)
	}
	ended := make(chan backend.Exit, 1)
	go func() { ended <- program(inner, c, l.plan.Paths.Home, stdio) }()
	for {
		select {
		case a.exit = <-ended:
			return a.exit, nil
		case <-ctx.Done():
			a.exit = signalled("TERM")
			return a.exit, nil
		case <-l.ctx.Done():
			return backend.Exit{}, fault.New(fault.Unavailable, "cannot go on in %q: the bottle ended", l.plan.ID)
		case name := <-a.signals:
			a.exit = signalled(name)
			return a.exit, nil
		}
	}
}

func signalled(name string) backend.Exit {
	name = strings.TrimPrefix(name, "SIG")
	return backend.Exit{Code: 128 + int(unix.SignalNum("SIG"+name)), Signal: name}
}

func filled(s backend.Stdio) backend.Stdio {
	if s.In == nil {
		s.In = strings.NewReader("")
	}
	if s.Out == nil {
		s.Out = io.Discard
	}
	if s.Err == nil {
		s.Err = io.Discard
	}
	return s
}

func (d *Driver) running(h backend.Handle) (*life, error) {
	l, err := d.find(h)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.launched || l.ctx.Err() != nil {
		return nil, fault.New(fault.NotFound, "cannot reach %q: it is not running", h.ID)
	}
	return l, nil
}

func (l *life) claim(a *agent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.agent != nil {
		return fault.New(fault.Busy, "cannot start the agent: it is running already")
	}
	l.agent = a
	return nil
}

func (l *life) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.agent = nil
}

func (d *Driver) current(h backend.Handle) (*agent, error) {
	l, err := d.running(h)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.agent == nil {
		return nil, fault.New(fault.NotFound, "cannot find the agent of %q: none is running", h.ID)
	}
	return l.agent, nil
}

// Attach implements backend.Sessions. Input is read only for its end: a fake agent has one
// terminal.
func (d *Driver) Attach(ctx context.Context, h backend.Handle, stdio backend.Stdio) (backend.Exit, error) {
	a, err := d.current(h)
	if err != nil {
		return backend.Exit{}, err
	}
	var left chan struct{}
	if stdio.In != nil {
		left = make(chan struct{})
		go func() {
			defer close(left)
			_, _ = io.Copy(io.Discard, stdio.In)
		}()
	}
	a.join(filled(stdio).Out)
	select {
	case <-a.done:
		return a.exit, nil
	case <-left:
		return backend.Exit{}, nil
	case <-ctx.Done():
		return backend.Exit{}, ctx.Err()
	}
}

// Signal implements backend.Sessions. Every signal ends a fake program.
func (d *Driver) Signal(ctx context.Context, h backend.Handle, name string) error {
	a, err := d.current(h)
	if err != nil {
		return err
	}
	if unix.SignalNum("SIG"+strings.TrimPrefix(name, "SIG")) == 0 {
		return fault.New(fault.Invalid, "cannot send %q: no such signal", name)
	}
	select {
	case a.signals <- name:
	case <-a.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// program finds what a name stands for; nil where it stands for nothing.
func (d *Driver) program(name string) Program {
	if p := d.config.Programs[name]; p != nil {
		return p
	}
	switch name {
	case "true":
		return ends(0)
	case "false":
		return ends(1)
	case "echo":
		return echo
	case "cat":
		return cat
	case "sleep":
		return sleep
	}
	return nil
}

func ends(code int) Program {
	return func(context.Context, backend.Command, string, backend.Stdio) backend.Exit {
		return backend.Exit{Code: code}
	}
}

func echo(_ context.Context, c backend.Command, _ string, stdio backend.Stdio) backend.Exit {
	_, _ = io.WriteString(stdio.Out, strings.Join(c.Args[1:], " ")+"\n")
	return backend.Exit{}
}

func cat(_ context.Context, c backend.Command, home string, stdio backend.Stdio) backend.Exit {
	if len(c.Args) == 1 {
		_, _ = io.Copy(stdio.Out, stdio.In)
		return backend.Exit{}
	}
	root, err := os.OpenRoot(home)
	if err != nil {
		return backend.Exit{Code: 1}
	}
	defer root.Close()
	var failed error
	for _, name := range c.Args[1:] {
		rel, ok := (&life{}).inside(name)
		if !ok {
			failed = os.ErrNotExist
			continue
		}
		content, err := root.ReadFile(rel)
		failed = errors.Join(failed, err)
		_, _ = stdio.Out.Write(content)
	}
	if failed != nil {
		return backend.Exit{Code: 1}
	}
	return backend.Exit{}
}

func sleep(ctx context.Context, c backend.Command, _ string, _ backend.Stdio) backend.Exit {
	duration, err := time.ParseDuration(strings.Join(c.Args[1:], "") + "s")
	if err != nil {
		return backend.Exit{Code: 1}
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return backend.Exit{}
}
