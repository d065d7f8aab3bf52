package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func (s *suite) exec(t *testing.T) {
	b := s.launch(t)
	t.Run("the exit code and the output come back", func(t *testing.T) {
		if exit, _, _ := b.run("", "false"); exit.Code != 1 || exit.Signal != "" {
			t.Errorf("false ended with %+v", exit)
		}
		if _, out, errs := b.run("", "echo", "hello", "world"); out != "hello world\n" || errs != "" {
			t.Errorf("out %q, err %q", out, errs)
		}
	})
	t.Run("input of any size comes back whole", func(t *testing.T) {
		want := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
		if _, out, _ := b.run(want, "cat"); out != want {
			t.Errorf("%d bytes came back of %d", len(out), len(want))
		}
	})
	t.Run("no input is empty input", func(t *testing.T) {
		if exit, out, _ := b.run("", "cat"); exit.Code != 0 || out != "" {
			t.Errorf("%+v %q", exit, out)
		}
	})
	t.Run("the end of the context ends the command", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		over := make(chan ended, 1)
		started := firstByte{seen: make(chan struct{})}
		go func() {
			exit, err := b.d.Exec(ctx, b.h, backend.Command{Args: []string{"cat"}}, backend.Stdio{In: io.MultiReader(strings.NewReader("x"), forever{background(t)}), Out: &started})
			over <- ended{exit, err}
		}()
		soon(t, started.seen, "the command's output")
		cancel()
		e := soon(t, over, "the end of the command")
		if e.exit.Signal != "TERM" && !errors.Is(e.err, context.Canceled) {
			t.Errorf("it ended with %+v, %v", e.exit, e.err)
		}
	})
	t.Run("a program that is not there is an error", func(t *testing.T) {
		_, err := b.d.Exec(background(t), b.h, backend.Command{Args: []string{"no-such-program"}}, backend.Stdio{})
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	})
	t.Run("nothing is an invalid command", func(t *testing.T) {
		if _, err := b.d.Exec(background(t), b.h, backend.Command{}, backend.Stdio{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v", err)
		}
	})
	t.Run("there is no agent to join or signal before there is one", func(t *testing.T) {
		if _, err := b.d.Attach(background(t), b.h, backend.Stdio{}); !fault.Is(err, fault.NotFound) {
			t.Errorf("Attach: %v", err)
		}
		if err := b.d.Signal(background(t), b.h, "TERM"); !fault.Is(err, fault.NotFound) {
			t.Errorf("Signal: %v", err)
		}
	})
	t.Run("the agent is signalled", func(t *testing.T) {
		out := firstByte{seen: make(chan struct{})}
		over := b.start(backend.Command{Args: []string{"cat"}, Agent: true}, backend.Stdio{In: io.MultiReader(strings.NewReader("x"), forever{background(t)}), Out: &out})
		soon(t, out.seen, "the agent's output")
		if err := b.d.Signal(background(t), b.h, "KILL"); err != nil {
			t.Fatal(err)
		}
		if e := soon(t, over, "the agent's end"); e.err != nil || e.exit.Code != 137 || e.exit.Signal != "KILL" {
			t.Errorf("%+v", e)
		}
	})
}

// forever is an input that never ends before its context.
type forever struct{ ctx context.Context } //nolint:containedctx // a reader has no other way to know it

func (f forever) Read([]byte) (int, error) {
	<-f.ctx.Done()
	return 0, io.EOF
}

// firstByte tells when something was written.
type firstByte struct {
	once sync.Once
	seen chan struct{}
}

func (f *firstByte) Write(p []byte) (int, error) {
	f.once.Do(func() { close(f.seen) })
	return len(p), nil
}

func (s *suite) shell(t *testing.T) {
	b := s.launch(t)
	t.Run("standard error is apart", func(t *testing.T) {
		if _, out, errs := b.run("", "sh", "-c", "echo out; echo err >&2"); out != "out\n" || errs != "err\n" {
			t.Errorf("out %q, err %q", out, errs)
		}
	})
	t.Run("a signal's exit follows the shell", func(t *testing.T) {
		if exit, _, _ := b.run("", "sh", "-c", "kill -SEGV $$"); exit.Code != 139 || exit.Signal != "SEGV" {
			t.Errorf("%+v", exit)
		}
	})
	t.Run("large output is whole before the exit", func(t *testing.T) {
		_, out, _ := b.run("", "sh", "-c", "head -c 8388608 /dev/zero; echo end")
		if len(out) != 8<<20+4 || !strings.HasSuffix(out, "end\n") {
			t.Errorf("%d bytes", len(out))
		}
	})
	t.Run("a child that holds the output does not hold the exit", func(t *testing.T) {
		if exit, out, _ := b.run("", "sh", "-c", "sleep 1000 & echo done; exit 3"); exit.Code != 3 || out != "done\n" {
			t.Errorf("%+v %q", exit, out)
		}
	})
	t.Run("the environment and the directory are as told", func(t *testing.T) {
		var out bytes.Buffer
		_, err := b.d.Exec(background(t), b.h, backend.Command{Args: []string{"/bin/sh", "-c", "pwd; echo $ONLY"}, Env: []string{"ONLY=this"}, Dir: "/tmp"}, backend.Stdio{Out: &out})
		if err != nil || out.String() != "/tmp\nthis\n" {
			t.Errorf("%q, %v", out.String(), err)
		}
		if out := b.sh("pwd"); out != plan.Home {
			t.Errorf("without a directory it runs in %q", out)
		}
	})
	t.Run("signals reach the command although it does not read its input", func(t *testing.T) {
		signals := make(chan string)
		out := firstByte{seen: make(chan struct{})}
		over := b.start(backend.Command{Args: []string{"sh", "-c", "trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done"}, Env: environment()},
			backend.Stdio{In: strings.NewReader(strings.Repeat("x", 1<<20)), Out: &out, Signals: signals})
		soon(t, out.seen, "the command's output")
		signals <- "USR1"
		if e := soon(t, over, "the command's end"); e.exit.Code != 7 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("limits hold", func(t *testing.T) {
		b := s.launch(t, func(p *plan.Plan) { p.Limits.Processes, p.Limits.OpenFiles = 64, 100 })
		if out := b.sh("ulimit -n; ulimit -c"); out != "100\n0" {
			t.Errorf("ulimit: %q", out)
		}
		_, out, errs := b.run("", "sh", "-c", "i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; echo all")
		if strings.Contains(out, "all") && !strings.Contains(strings.ToLower(errs), "fork") {
			t.Errorf("100 processes ran where 64 may: %q %q", out, errs)
		}
	})
	t.Run("memory is bounded where that is offered", func(t *testing.T) { s.memory(t) })
	t.Run("processors are bounded where that is offered", func(t *testing.T) { s.processors(t) })
	t.Run("orphans are collected", func(t *testing.T) {
		b.sh("for i in 1 2 3 4 5; do (true & ) ; done")
		out := b.sh("sleep 0.05; cat /proc/[0-9]*/status | grep -c '^State:.Z' || true")
		if out != "0" {
			t.Errorf("%s zombies are left", out)
		}
	})
}

// limits reports whether the backend has a feature; where it has not, a plan that asks for it has to be refused.
func (s *suite) limits(t *testing.T, feature string, ask func(*plan.Plan)) bool {
	t.Helper()
	root := place(t)
	d := s.open(t, root)
	c, err := d.Probe(background(t))
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(c.Features, feature) {
		return true
	}
	p := Plan(root)
	ask(p)
	if _, err := d.Prepare(background(t), p); !fault.Is(err, fault.Unsupported) {
		t.Errorf("Prepare: %v", err)
	}
	nothing(t, d, p)
	return false
}

// memory runs only where the backend says that it can limit it; where it cannot, a plan that asks
// is refused.
func (s *suite) memory(t *testing.T) {
	limit := func(p *plan.Plan) { p.Limits.MemoryBytes = 64 << 20 }
	if !s.limits(t, "limit-memory", limit) {
		return
	}
	b := s.launch(t, limit)
	if s.o.MemoryEnds != "" {
		_, err := b.d.Exec(background(t), b.h, backend.Command{Args: []string{"sh", "-c", "head -c 200000000 /dev/zero >/dev/shm/n"}, Env: environment()}, backend.Stdio{})
		if err == nil {
			t.Error("200 MB were held where 64 MiB may be")
		}
		soon(t, b.d.Done(b.h), "the end of a bottle that held too much")
		return
	}
	if exit, _, _ := b.run("", "sh", "-c", "head -c 268435456 /dev/zero | tail -c 200000000 | wc -c >/dev/shm/n; test $(cat /dev/shm/n) = 200000000"); exit.Code == 0 {
		t.Error("200 MB were held where 64 MiB may be")
	}
	b.run("", "true")
}

func (s *suite) terminal(t *testing.T) {
	b := s.launch(t)
	t.Run("it is a terminal of its own with the size told", func(t *testing.T) {
		var out bytes.Buffer
		resize := make(chan backend.Size)
		exit, err := b.d.Exec(background(t), b.h, backend.Command{
			Args: []string{"sh", "-c", "stty size; tty; [ -t 0 ] && [ -t 2 ] && echo yes"}, Env: environment(), TTY: true, Size: backend.Size{Rows: 33, Cols: 101},
		}, backend.Stdio{Out: &out, Resize: resize})
		if err != nil || exit.Code != 0 {
			t.Fatalf("%+v %v", exit, err)
		}
		if got := out.String(); got != "33 101\r\n/dev/pts/0\r\nyes\r\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("keys become signals of the foreground, resizes arrive", func(t *testing.T) {
		in, keys := io.Pipe()
		out := watched{want: make(chan string, 64)}
		resize := make(chan backend.Size)
		over := b.start(backend.Command{
			Args: []string{"bash", "--norc", "-i"}, Env: append(environment(), `PS1=<\#>`), TTY: true, Size: backend.Size{Rows: 24, Cols: 80},
		}, backend.Stdio{In: in, Out: &out, Resize: resize})
		say := func(line string) { _, _ = io.WriteString(keys, line) }
		say("echo re''ady\n")
		out.until(t, "ready")
		// Before it prompts, readline reads the size and sets it again: a resize in between is lost.
		out.until(t, "<2>")
		resize <- backend.Size{Rows: 50, Cols: 132}
		// The new size and the keys come by different ways.
		say("until stty size | grep -x '50 13''2'; do sleep 0.01; done\n")
		out.until(t, "50 132")
		out.until(t, "<3>")
		say("sh -c \"echo as''leep; exec sleep 1000\"\n")
		out.until(t, "asleep")
		say("\x03") // which also throws away what was typed ahead
		out.until(t, "<4>")
		say("echo a''live\n")
		out.until(t, "alive")
		say("sleep 1000 & jobs; echo jo''bs; kill %%1\n")
		out.until(t, "Running")
		say("exit 5\n")
		if e := soon(t, over, "the shell's end"); e.exit.Code != 5 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("who joins sees the past, takes part, and may leave", func(t *testing.T) { s.join(t) })
}

func (s *suite) join(t *testing.T) {
	b := s.launch(t)
	in, keys := io.Pipe()
	out := watched{want: make(chan string, 64)}
	over := b.start(backend.Command{
		Args: []string{"bash", "--norc", "-i"}, Env: environment(), TTY: true, Agent: true, Size: backend.Size{Rows: 24, Cols: 80},
	}, backend.Stdio{In: in, Out: &out})
	fmt.Fprint(keys, "echo the pa''st\n")
	out.until(t, "the past")

	leaveIn, leaveKeys := io.Pipe()
	left := make(chan ended, 1)
	seen := watched{want: make(chan string, 64)}
	go func() {
		exit, err := b.d.Attach(background(t), b.h, backend.Stdio{In: leaveIn, Out: &seen})
		left <- ended{exit, err}
	}()
	seen.until(t, "the past")
	fmt.Fprint(leaveKeys, "echo from the jo''ined\n")
	out.until(t, "from the joined")
	seen.until(t, "from the joined")
	_ = leaveKeys.Close()
	if e := soon(t, left, "leaving"); e.err != nil || e.exit.Code != 0 {
		t.Errorf("leaving: %+v", e)
	}

	stays := make(chan ended, 1)
	again := watched{want: make(chan string, 64)}
	go func() {
		exit, err := b.d.Attach(background(t), b.h, backend.Stdio{Out: &again})
		stays <- ended{exit, err}
	}()
	again.until(t, "from the joined")
	fmt.Fprint(keys, "exit 4\n")
	if e := soon(t, over, "the agent's end"); e.exit.Code != 4 {
		t.Errorf("the agent: %+v", e)
	}
	if e := soon(t, stays, "the end of the one who joined"); e.err != nil || e.exit.Code != 4 {
		t.Errorf("the one who joined: %+v", e)
	}
}
