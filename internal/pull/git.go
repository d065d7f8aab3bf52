package pull

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// runner runs git on one repository.
type runner struct {
	args      []string // before the command
	env       []string
	dir       string
	suspect   bool   // it works on objects that the agent has made
	objects   string // of the host's repository
	format    string
	emptyTree string
}

// settings are in force whatever a repository, a user or a system says: nothing is run, nothing
// is followed, and what comes in is checked.
func settings() []string {
	var args []string
	for _, s := range []string{
		"core.hooksPath=" + os.DevNull, "core.fsmonitor=false", "core.untrackedCache=false", "core.attributesFile=" + os.DevNull,
		"core.alternateRefsCommand=true", "core.protectHFS=true", "core.protectNTFS=true", "fetch.fsckObjects=true", "fetch.writeCommitGraph=false", "gc.auto=0", "maintenance.auto=false",
		"pack.threads=1", "core.bigFileThreshold=16m", "core.packedGitWindowSize=32m", "core.packedGitLimit=512m", "protocol.allow=never", "protocol.file.allow=always", "submodule.recurse=false", "diff.ignoreSubmodules=all",
		"log.showSignature=false", "advice.detachedHead=false",
	} {
		args = append(args, "-c", s)
	}
	return args
}

// environment is all that git gets: no variable of the caller's can change what it does.
func environment(own ...string) []string {
	env := []string{"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_ATTR_NOSYSTEM=1", "GIT_NO_REPLACE_OBJECTS=1", "LC_ALL=C"}
	for _, name := range []string{"PATH", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, own...)
}

// repository finds the user's own, which holds dir. The user's configuration applies to it.
func repository(ctx context.Context, dir string) (*runner, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fault.WithHint(fault.New(fault.Unavailable, "cannot bring work into a repository: there is no git"), "install git")
	}
	own := []string{}
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME"} {
		if value, ok := os.LookupEnv(name); ok {
			own = append(own, name+"="+value)
		}
	}
	r := &runner{args: settings(), env: environment(own...), dir: dir}
	out, err := r.run(ctx, "rev-parse", "--path-format=absolute", "--git-path", "objects", "--show-object-format")
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 2 {
		return nil, fault.WithHint(fault.New(fault.NotFound, "cannot find a git repository at %s: %w", dir, err),
			"run this in the repository that the agent worked on a copy of")
	}
	r.objects, r.format = lines[0], lines[1]
	return r, nil
}

// quarantine makes an empty bare repository that borrows the host's objects.
func quarantine(ctx context.Context, dir string, host *runner, format string) (*runner, error) {
	if format != host.format {
		return nil, fault.New(fault.Unsupported, "cannot take the agent's work: its repository names objects by %s and this one by %s", format, host.format)
	}
	r := &runner{
		args: append([]string{"--git-dir=" + dir}, settings()...), dir: dir, format: format, suspect: true,
		env: environment("GIT_ALLOC_LIMIT=2g", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "HOME="+dir),
	}
	if _, err := r.run(ctx, "init", "--quiet", "--bare", "--template=", "--object-format="+format); err != nil {
		return nil, fmt.Errorf("cannot make a quarantine: %w", err)
	}
	if _, err := r.run(ctx, "config", "uploadpack.allowAnySHA1InWant", "true"); err != nil {
		return nil, fmt.Errorf("cannot make a quarantine: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "objects", "info"), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make a quarantine: %w", err)
	}
	if strings.Contains(host.objects, "\n") {
		return nil, fault.New(fault.Unsupported, "cannot use the repository at %q: its path has a line break", host.objects)
	}
	if err := os.WriteFile(filepath.Join(dir, "objects", "info", "alternates"), []byte(host.objects+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("cannot make a quarantine: %w", err)
	}
	tree, err := r.feed(ctx, "", "hash-object", "-t", "tree", "-w", "--stdin")
	if err != nil {
		return nil, fmt.Errorf("cannot make a quarantine: %w", err)
	}
	r.emptyTree = strings.TrimSpace(string(tree))
	return r, nil
}

func (r *runner) run(ctx context.Context, args ...string) ([]byte, error) {
	return r.feed(ctx, "", args...)
}

// maxAnswer bounds what git answers at once; patches are streamed.
const maxAnswer = 64 << 20

// feed runs git with an input and returns what it wrote.
func (r *runner) feed(ctx context.Context, in string, args ...string) ([]byte, error) {
	out := capped{left: maxAnswer}
	err := r.pipe(r.command(ctx, args...), strings.NewReader(in), &out)
	return out.text.Bytes(), errors.Join(out.err, err)
}

// pipe runs a command between two streams, within limits where it works on the agent's objects; an
// error ends with what git said, which may be the agent's words.
func (r *runner) pipe(cmd *exec.Cmd, in io.Reader, out io.Writer) error {
	words := capped{left: 4 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &words
	if err := cmd.Start(); err != nil {
		return err
	}
	var limited error
	if r.suspect {
		limited = bound(cmd.Process.Pid)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = said(exit, words.text.Bytes())
	}
	return errors.Join(limited, err)
}

func (r *runner) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append(r.args[:len(r.args):len(r.args)], args...)...)
	cmd.Env, cmd.Dir = r.env, r.dir
	return cmd
}

func said(exit *exec.ExitError, words []byte) error {
	lines := bytes.Split(bytes.TrimSpace(words), []byte("\n"))
	if len(lines) > 3 {
		lines = lines[:3]
	}
	if text := string(bytes.Join(lines, []byte("; "))); text != "" {
		return errors.New(audit.Escape(text, 500))
	}
	return fmt.Errorf("git ended with %w", exit)
}

// capped keeps what there is room for and is an error past that.
type capped struct {
	text bytes.Buffer
	left int
	err  error
}

// Write implements io.Writer. It takes all, so that the one who writes goes on to its end.
func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.text.Write(p[:n])
	if c.left -= n; n < len(p) && c.err == nil {
		c.err = errors.New("git's answer is too long")
	}
	return len(p), nil
}
