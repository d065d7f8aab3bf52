package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/gate"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
)

// gitWorld is a gate in this process, in front of an upstream with one repository.
type gitWorld struct {
	bare, mirror, url string
	front             *httptest.Server
	server            *gitgate.Server
	upstream          *gitUpstream

	mu    sync.Mutex // guards scans
	scans []time.Duration
}

// Record keeps how long pushes were looked at.
func (g *gitWorld) Record(e audit.Event) {
	_, tail, _ := strings.Cut(e.Message, "; ")
	var objects, millis int
	if _, err := fmt.Sscanf(tail, "%d objects looked at in %d ms", &objects, &millis); err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.scans = append(g.scans, time.Duration(millis)*time.Millisecond)
}

func newGitWorld(ctx context.Context, dir string) (g *gitWorld, err error) {
	g = &gitWorld{bare: filepath.Join(dir, "app.git"), mirror: filepath.Join(dir, "mirror")}
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, err
	}
	if err := git(ctx, "", nil, "init", "-q", "--bare", "-b", "main", g.bare); err != nil {
		return nil, err
	}
	if g.upstream, err = newGitUpstream(ctx); err != nil {
		return nil, err
	}
	repo := plan.GitRepo{
		Name: "app", URL: "ssh://git@" + g.upstream.host + g.bare, HostKey: g.upstream.hostKey, Mirror: g.mirror, Push: plan.GitPush{Refs: []string{"*"}, MaxBytes: 1 << 30},
	}
	g.server, err = gitgate.New(gitgate.Config{ID: "bench-00000", Dir: filepath.Join(dir, "gate"), Git: program, Repos: []plan.GitRepo{repo}}, gitgate.Deps{
		Scanner: gate.NewScanner(nil, nil), Keys: map[string]secret.String{"app": g.upstream.key}, Audit: g, Isolated: gate.CanIsolate(ctx, program),
	})
	if err != nil {
		return nil, errors.Join(err, g.upstream.Close())
	}
	g.front = httptest.NewServer(g.server)
	g.url = g.front.URL + "/app/"
	return g, nil
}

func (g *gitWorld) Close() error {
	g.front.Close()
	return errors.Join(g.server.Close(), g.upstream.Close())
}

// measureGit has the gate serve and look at what git alone, and gitleaks, do with the same.
func measureGit(ctx context.Context, w *world, r *report) (err error) {
	dir := w.path("git")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	g, err := newGitWorld(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if err := g.clones(ctx, dir, w.commits, r); err != nil {
		return err
	}
	return g.pushes(ctx, dir, r)
}

// clones takes turns between the gate and its mirror.
func (g *gitWorld) clones(ctx context.Context, dir string, commits int, r *report) error {
	const size = 20 << 10
	progress("git: a repository of %d commits and %d MB", commits, commits*size>>20)
	noise := rand.NewChaCha8([32]byte{7})
	block := make([]byte, size+1)
	block[size] = '\n'
	err := fastImport(ctx, g.bare, func(out *bufio.Writer) {
		for i := range commits {
			_, _ = noise.Read(block[:size])
			fmt.Fprintf(out, "commit refs/heads/main\ncommitter A <a@example.org> %d +0000\ndata 1\nx\nM 644 inline d%d/f%d\ndata %d\n", 1_700_000_000+i, i%100, i%10_000, size)
			_, _ = out.Write(block)
		}
	})
	if err != nil {
		return err
	}
	began := time.Now()
	if err := git(ctx, "", nil, "ls-remote", g.url); err != nil {
		return err
	}
	first := time.Since(began)
	var ours, direct []time.Duration
	for range 3 {
		for _, from := range []struct {
			url  string
			took *[]time.Duration
		}{{"file://" + filepath.Join(g.mirror, "repo.git"), &direct}, {g.url, &ours}} {
			to := filepath.Join(dir, "clone")
			began := time.Now()
			if err := git(ctx, "", nil, "clone", "-q", "--bare", from.url, to); err != nil {
				return err
			}
			*from.took = append(*from.took, time.Since(began))
			if err := os.RemoveAll(to); err != nil {
				return err
			}
		}
	}
	a, b := slices.Min(ours), slices.Min(direct)
	ratio := a.Seconds() / b.Seconds()
	r.table(fmt.Sprintf("A clone of %d commits and %d MB", commits, commits*size>>20), [][]string{
		{"from", "least of three", "ratio", "budget ≤ 1.3"},
		{"the mirror, by git alone", ms(b), "", ""},
		{"the git gate", ms(a), fmt.Sprintf("%.2f", ratio), held(ratio <= 1.3)},
		{"the first fetch into the mirror", ms(first), "", ""},
	})
	return nil
}

// pushes are one of many small changes, which gitleaks looks at too, and one of a large file.
func (g *gitWorld) pushes(ctx context.Context, dir string, r *report) error {
	progress("git: pushes")
	work := filepath.Join(dir, "work.git")
	if err := git(ctx, "", nil, "clone", "-q", "--bare", "--depth=1", "--no-single-branch", "file://"+g.bare, work); err != nil {
		return err
	}
	if err := manyCommits(ctx, work, 1000); err != nil {
		return err
	}
	gitleaks, theirs := filepath.Join(filepath.Dir(oracle()), "gitleaks"), []time.Duration{}
	began := peak()
	for range 3 {
		if _, err := os.Stat(gitleaks); err == nil {
			began := time.Now()
			cmd := exec.CommandContext(ctx, gitleaks, "git", "--no-banner", "--log-opts=main..made", work)
			cmd.Env = gitEnv()
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("cannot run gitleaks: %w: %s", err, out)
			}
			theirs = append(theirs, time.Since(began))
		}
		if err := g.push(ctx, work, "made"); err != nil {
			return err
		}
	}
	small, smallPeak := slices.Min(g.scans), peak()
	rows := [][]string{{"looking at what is pushed", "least of three", "gitleaks to the gate", "resident at its peak"}, {"1,000 commits, 3,000 files: the git gate", ms(small), "", mib(smallPeak)}}
	if len(theirs) > 0 {
		a := slices.Min(theirs)
		rows = append(rows, []string{"the same: gitleaks git", ms(a), times(a.Seconds(), small.Seconds()), ""})
	} else {
		rows = append(rows, []string{"the same: gitleaks git", "not here: run scripts/setup bench", "–", ""})
	}
	const large = 200 << 20
	noise := rand.NewChaCha8([32]byte{9})
	err := fastImport(ctx, work, func(out *bufio.Writer) {
		fmt.Fprintf(out, "commit refs/heads/large\ncommitter A <a@example.org> 1700000000 +0000\ndata 1\nx\nfrom refs/heads/main^0\nM 644 inline large\ndata %d\n", large)
		_, _ = io.CopyN(out, noise, large)
		_ = out.WriteByte('\n')
	})
	if err != nil {
		return err
	}
	g.scans = nil
	_ = peak()
	if err := g.push(ctx, work, "large"); err != nil {
		return err
	}
	rows = append(rows, []string{fmt.Sprintf("one file of %d MB: the git gate", large>>20), ms(slices.Min(g.scans)), "", mib(peak())})
	r.table("Pushes", rows)
	r.note("The gate looks at every new object whole and decodes it; gitleaks looks at the lines that were added. The process of the benchmark, which the gate runs in here, had %s before; the git programs have limits of their own.", mib(began))
	return nil
}

// push pushes a branch through the gate and takes it off the upstream again.
func (g *gitWorld) push(ctx context.Context, work, branch string) error {
	if err := git(ctx, work, nil, "push", "-q", g.url, branch+":refs/heads/"+branch); err != nil {
		return err
	}
	return git(ctx, g.bare, nil, "update-ref", "-d", "refs/heads/"+branch)
}

// manyCommits makes the branch "made", each of whose commits changes three of 200 files of source.
func manyCommits(ctx context.Context, dir string, n int) error {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same at every run
	line := func() string {
		return fmt.Sprintf("\tif err := handle(ctx, request%d, %q); err != nil { return wrap(err, %d) }", r.IntN(1000), strings.Repeat("x", r.IntN(20)), r.IntN(1_000_000))
	}
	files := make([][]string, 200)
	for i := range files {
		for range 80 {
			files[i] = append(files[i], line())
		}
	}
	return fastImport(ctx, dir, func(out *bufio.Writer) {
		for i := range n {
			message := fmt.Sprintf("change %d of the handlers, so that requests are retried", i)
			fmt.Fprintf(out, "commit refs/heads/made\ncommitter A <a@example.org> %d +0000\ndata %d\n%s\n", 1_700_000_000+i, len(message), message)
			if i == 0 {
				_, _ = out.WriteString("from refs/heads/main^0\n")
			}
			for range 3 {
				f := r.IntN(len(files))
				files[f][r.IntN(80)] = line()
				text := strings.Join(files[f], "\n") + "\n"
				fmt.Fprintf(out, "M 644 inline src/part%d/file%d.go\ndata %d\n%s\n", f%10, f, len(text), text)
			}
		}
	})
}

func fastImport(ctx context.Context, dir string, write func(*bufio.Writer)) error {
	read, stream := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(stream, 1<<20)
		write(out)
		_ = stream.CloseWithError(out.Flush())
	}()
	err := git(ctx, dir, read, "fast-import", "--quiet")
	_ = read.Close()
	return err
}

// peak is the most memory that this process has had since the last call.
func peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) // proc(5): begins anew
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, serr := fmt.Sscan(rest, &kib); err != nil || !ok || serr != nil {
		return 0
	}
	return kib << 10
}

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
