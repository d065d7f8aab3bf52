//go:build linux

package gitgate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// programs starts git with nothing of the host's settings and nothing that a repository could set.
type programs struct {
	path     string
	home     string
	isolated bool
}

// command is one run of git.
type command struct {
	dir    string // the repository
	env    []string
	in     io.Reader
	out    io.Writer
	err    io.Writer  // nil: kept for the error
	files  []*os.File // from descriptor 3 on
	online bool       // may use the network
	// memory and cpu bound a run over what the agent sent; 0: no bound
	memory, cpu uint64
	// wide has what git writes taken in large pieces, for packs.
	wide bool
}

// fixed are settings that win over every file. Their names are git-config(1)'s.
func fixed() [][2]string {
	return [][2]string{
		{"safe.directory", "*"}, {"core.hooksPath", "/dev/null"}, {"core.fsmonitor", "false"},
		{"core.attributesFile", "/dev/null"}, {"core.excludesFile", "/dev/null"}, {"core.logAllRefUpdates", "false"},
		{"core.bigFileThreshold", "16m"}, {"core.alternateRefsCommand", "false"}, {"core.sshCommand", "false"},
		{"core.gitProxy", ""}, {"core.askPass", "false"}, {"credential.helper", ""},
		{"gc.auto", "0"}, {"maintenance.auto", "false"}, {"pack.windowMemory", "128m"}, {"pack.threads", "2"}, {"core.packedGitWindowSize", "64m"}, {"core.packedGitLimit", "1g"}, {"pack.writeReverseIndex", "true"},
		{"fetch.fsckObjects", "false"}, {"fetch.recurseSubmodules", "false"}, {"fetch.unpackLimit", "1"}, {"fetch.writeCommitGraph", "false"},
		{"push.recurseSubmodules", "no"}, {"push.followTags", "false"}, {"push.gpgSign", "false"}, {"submodule.recurse", "false"},
		{"uploadpack.allowFilter", "true"}, {"uploadpack.allowAnySHA1InWant", "true"}, {"uploadpack.keepAlive", "5"},
		{"uploadpack.advertiseRefInWant", "true"}, {"lsrefs.unborn", "advertise"},
		{"http.followRedirects", "false"}, {"http.proxy", ""}, {"protocol.version", "2"}, {"advice.pushUpdateRejected", "false"},
	}
}

// environment is all that git gets.
func (p *programs) environment(extra []string) []string {
	env := []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + p.home, "TMPDIR=" + p.home, "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0", "GIT_ALLOW_PROTOCOL=fd:http",
		"GIT_ADVICE=0",
	}
	settings := fixed()
	env = append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(settings)))
	for i, kv := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return append(env, extra...)
}

// run runs git to its end. Its error holds the end of what git said.
func (p *programs) run(ctx context.Context, c command, args ...string) error {
	cmd := exec.CommandContext(ctx, p.path, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.ExtraFiles = c.dir, c.in, c.out, c.files
	cmd.Env = p.environment(c.env)
	if c.dir != "" {
		cmd.Env = append(cmd.Env, "GIT_DIR="+c.dir)
	}
	said := &tail{}
	cmd.Stderr = said
	if c.err != nil {
		cmd.Stderr = io.MultiWriter(said, c.err)
	}
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = p.attributes(c.online)
	var wide *widePipe
	var err error
	if c.wide {
		if wide, err = newWidePipe(cmd); err != nil {
			return fmt.Errorf("cannot run git %s: %w", args[0], err)
		}
	}
	err = cmd.Start()
	if err == nil {
		if err = bound(cmd.Process.Pid, c.memory, c.cpu); err != nil {
			_ = cmd.Process.Kill() // nothing runs without its limits
		}
		err = errors.Join(err, wide.copy(c.out, cmd.Process), cmd.Wait())
	}
	wide.close()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if text := said.String(); text != "" {
		return fmt.Errorf("cannot run git %s: %w: %s", args[0], err, text)
	}
	return fmt.Errorf("cannot run git %s: %w", args[0], err)
}

// attributes put a run into namespaces of its own: without network, unless it is online, and with
// pids of its own, so that its end is the end of all it started. Its user is unmapped there, which
// leaves it the owner of its files and of nothing else.
func (p *programs) attributes(online bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	if p.isolated {
		a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
		if !online {
			a.Cloneflags |= syscall.CLONE_NEWNET
		}
	}
	return a
}

// widePipe is a program's standard output with as much room as a pipe may have: a pack crosses it
// in a tenth of the switches between the two.
type widePipe struct{ read, write *os.File }

const pipeRoom = 1 << 20

func newWidePipe(cmd *exec.Cmd) (*widePipe, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, _ = unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, pipeRoom) // or it has less
	cmd.Stdout = write
	return &widePipe{read, write}, nil
}

// copy hands on what the started program writes, to its end. Where nobody takes it the program is
// ended.
func (w *widePipe) copy(out io.Writer, program *os.Process) error {
	if w == nil {
		return nil
	}
	_ = w.write.Close() // the program has its own
	_, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{w.read}, make([]byte, pipeRoom/4))
	if err != nil {
		_ = program.Kill()
	}
	return err
}

func (w *widePipe) close() {
	if w != nil {
		_ = w.read.Close()
		_ = w.write.Close()
	}
}

// bound limits a process that has just been started. A limit that is lower already stays.
func bound(pid int, memory, cpu uint64) error {
	for resource, limit := range map[int]uint64{unix.RLIMIT_AS: memory, unix.RLIMIT_CPU: cpu} {
		if limit == 0 {
			continue
		}
		var has unix.Rlimit
		err := unix.Prlimit(pid, resource, nil, &has)
		if err == nil {
			limit = min(limit, has.Max)
			err = unix.Prlimit(pid, resource, &unix.Rlimit{Cur: min(limit, has.Cur), Max: limit}, nil)
		}
		if err != nil && err != unix.ESRCH { // it has ended
			return fmt.Errorf("cannot limit git: %w", err)
		}
	}
	return nil
}

// output runs git and returns what it wrote, which is small.
func (p *programs) output(ctx context.Context, c command, args ...string) (string, error) {
	var out bytes.Buffer
	c.out = &out
	err := p.run(ctx, c, args...)
	return out.String(), err
}

// lines runs git and hands over each line of its output.
func (p *programs) lines(ctx context.Context, c command, each func(string) error, args ...string) error {
	w := &lineWriter{each: each}
	c.out = w
	err := p.run(ctx, c, args...)
	return errors.Join(w.err, err)
}

// lineWriter splits what is written into lines.
type lineWriter struct {
	rest []byte
	each func(string) error
	err  error
}

const maxLine = 1 << 20

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for w.err == nil {
		line, after, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			if len(line) > maxLine {
				w.err = errors.New("a line of git's output is too long")
			}
			break
		}
		w.err = w.each(string(line))
		w.rest = after
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// tail keeps the end of what a program says.
type tail struct{ text []byte }

const tailSize = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > tailSize {
		t.text = append([]byte(nil), t.text[len(t.text)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.text)) }
