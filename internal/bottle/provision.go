package bottle

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/pack"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// provision brings in, in this order: the CA, the prompt, skills, workspace and git, the
// provider's files, and runs its steps. A resumed bottle keeps what it has; only what this
// program owns is written again.
func (r *running) provision(ctx context.Context) error {
	files, err := r.owned()
	if err != nil {
		return err
	}
	if err := r.write(ctx, files); err != nil {
		return err
	}
	if !r.Plan.Resume {
		if err := r.bring(ctx); err != nil {
			return err
		}
	}
	for _, step := range r.Plan.Steps {
		if err := r.step(ctx, step); err != nil {
			return err
		}
	}
	if err := r.install(ctx); err != nil {
		return err
	}
	return r.record()
}

// owned are the files that are written at every start.
func (r *running) owned() ([]plan.File, error) {
	var files []plan.File
	if p := r.Plan.Prompt.Text; p != "" {
		files = append(files, plan.File{Path: plan.PromptPath, Mode: 0o600, Content: p + "\n"})
	}
	if !r.Key.Empty() {
		files = append(files, plan.File{Path: canaryPath, Mode: 0o600, Content: canary(r.Key, r.Plan.ID) + "\n"})
	}
	for _, f := range r.Plan.Files {
		if f.Again && r.Plan.Resume {
			files = append(files, f)
		}
	}
	if r.java != nil {
		store := <-r.java
		if store.err != nil {
			return nil, store.err
		}
		files = append(files, store.file)
	}
	return files, nil
}

// bring fills a new bottle.
func (r *running) bring(ctx context.Context) error {
	if len(r.Plan.Skills) > 0 {
		for _, s := range r.Plan.Skills {
			if err := r.tree(ctx, s.HostPath, s.Path, "skill "+s.Name, nil); err != nil {
				return err
			}
		}
	}
	if w := r.Plan.Workspace; w.Path != "" && w.HostPath == "" {
		if err := r.stream(ctx, w.Path, func(*tar.Writer) error { return nil }); err != nil {
			return err
		}
	} else if w.HostPath != "" {
		if err := r.tree(ctx, w.HostPath, w.Path, "the workspace", pack.WithoutGitCredentials); err != nil {
			return err
		}
	}
	return r.write(ctx, r.Plan.Files)
}

// write puts files into the bottle in one stream.
func (r *running) write(ctx context.Context, files []plan.File) error {
	if len(files) == 0 {
		return nil
	}
	return r.stream(ctx, plan.Home, func(w *tar.Writer) error {
		for _, f := range files {
			name, ok := strings.CutPrefix(path.Clean(f.Path), plan.Home+"/")
			if !ok {
				return fault.New(fault.Invalid, "cannot write %s: it is not below %s", f.Path, plan.Home)
			}
			if err := pack.File(w, name, fs.FileMode(f.Mode), []byte(f.Content)); err != nil {
				return err
			}
		}
		return nil
	})
}

// tree copies a folder of the host into the bottle and says what stayed behind.
func (r *running) tree(ctx context.Context, from, to, what string, rewrite pack.Rewrite) error {
	began := time.Now()
	var sum pack.Summary
	err := r.stream(ctx, to, func(w *tar.Writer) (err error) {
		sum, err = pack.Tree(ctx, w, from, ".", rewrite)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot bring in %s: %w", what, err)
	}
	if took := time.Since(began); took > time.Second {
		r.Progress("brought in %s: %d files, %.1f MB, %.1f s", what, sum.Files, float64(sum.Bytes)/1e6, took.Seconds())
	}
	const most = 5
	for i, s := range sum.Skipped {
		if i == most {
			r.Progress("… and %d more", len(sum.Skipped)-most)
			break
		}
		r.Progress("left out of %s: %q", what, s)
	}
	return nil
}

// stream connects a writer of a tar to the backend.
func (r *running) stream(ctx context.Context, dir string, fill func(*tar.Writer) error) error {
	pr, pw := io.Pipe()
	filled := make(chan error, 1)
	go func() {
		w := tar.NewWriter(pw)
		err := fill(w)
		if err == nil {
			err = w.Close()
		}
		pw.CloseWithError(err)
		filled <- err
	}()
	err := r.Driver.CopyIn(ctx, r.handle, dir, pr)
	_ = pr.CloseWithError(errors.Join(errStopped, err)) // unblocks fill; a pipe's reader does not fail to close
	if ferr := <-filled; ferr != nil && !errors.Is(ferr, errStopped) {
		return ferr
	}
	return err
}

var errStopped = errors.New("the bottle stopped reading")

// step runs one command of the provider before the agent; its output is shown only if it fails.
func (r *running) step(ctx context.Context, c plan.Command) error {
	var out tail
	exit, err := r.Driver.Exec(ctx, r.handle, backend.Command{Args: c.Args, Dir: c.Dir, Env: r.environment()},
		backend.Stdio{Out: &out, Err: &out})
	if err != nil {
		return fmt.Errorf("cannot run %s in the bottle: %w", c.Args[0], err)
	}
	if exit.Code != 0 {
		return fault.New(fault.Internal, "cannot set up the agent: %q ended with %d: %q", strings.Join(c.Args, " "), exit.Code, out.String())
	}
	return nil
}

// tail keeps the last kilobyte of what is written to it.
type tail struct{ buf []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 1 << 10
	t.buf = append(t.buf, p...)
	if len(t.buf) > keep {
		t.buf = t.buf[len(t.buf)-keep:]
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.buf)) }

// record leaves what a reader of the state directory expects: the literals of the environment
// and the prompt, both readable by their owner only.
func (r *running) record() error {
	var env strings.Builder
	for _, e := range r.Plan.Env {
		if e.Source == "literal" && !strings.ContainsAny(e.Value, "\n\r") {
			fmt.Fprintf(&env, "%s=%s\n", e.Name, e.Value)
		}
	}
	if err := r.run.Write(r.run.AgentEnv(), []byte(env.String())); err != nil {
		return err
	}
	return r.run.Write(r.run.PromptFile(), []byte(r.Plan.Prompt.Text))
}
