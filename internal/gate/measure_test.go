package gate_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
)

// TestMeasureAPushOfAThousandCommits prints how long the gate takes for a push beside `gitleaks git`
// over the same range. It runs where BOT_BOTTLE_MEASURE names gitleaks' program.
func TestMeasureAPushOfAThousandCommits(t *testing.T) {
	gitleaks := os.Getenv("BOT_BOTTLE_MEASURE")
	if gitleaks == "" {
		t.Skip("BOT_BOTTLE_MEASURE names no gitleaks")
	}
	w := open(t)
	dir := w.clone()
	importCommits(t, dir, 1000)
	var ours, theirs []time.Duration
	for range 3 {
		began := time.Now()
		cmd := exec.CommandContext(t.Context(), gitleaks, "git", "--no-banner", "--log-opts=origin/main..made", dir)
		cmd.Env = gatetest.Env()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		theirs = append(theirs, time.Since(began))
		began = time.Now()
		gatetest.Git(t, dir, "push", "-q", "origin", "made:refs/heads/bottle/dev-abc12/work")
		ours = append(ours, time.Since(began))
		gatetest.Git(t, w.up.Bare("app"), "update-ref", "-d", "refs/heads/bottle/dev-abc12/work")
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("a push of 1,000 commits: scanned in %v, gitleaks git %v, ratio %.2f; the whole push through the gate %v; the heap reached %d MB\n",
		least(w.scans()), least(theirs), least(w.scans()).Seconds()/least(theirs).Seconds(), least(ours), m.HeapSys>>20)
}

// scans are how long the pushes so far were looked at.
func (w *world) scans() (all []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		var objects, millis int
		if _, tail, ok := strings.Cut(e.Message, "; "); ok {
			if _, err := fmt.Sscanf(tail, "%d objects looked at in %d ms", &objects, &millis); err == nil {
				all = append(all, time.Duration(millis)*time.Millisecond)
			}
		}
	}
	return all
}

func least(all []time.Duration) time.Duration {
	out := all[0]
	for _, d := range all {
		out = min(out, d)
	}
	return out.Round(time.Millisecond)
}

// importCommits makes n commits on the branch "made", each of which changes three of 200 source files.
func importCommits(t *testing.T, dir string, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	files := make([][]string, 200)
	line := func() string {
		return fmt.Sprintf("\tif err := handle(ctx, request%d, %q); err != nil { return wrap(err, %d) }", r.IntN(1000), strings.Repeat("x", r.IntN(20)), r.IntN(1_000_000))
	}
	for i := range files {
		for range 80 {
			files[i] = append(files[i], line())
		}
	}
	fastImport(t, dir, func(out *bufio.Writer) {
		for i := range n {
			message := fmt.Sprintf("change %d of the handlers, so that requests are retried", i)
			fmt.Fprintf(out, "commit refs/heads/made\ncommitter A <a@example.org> %d +0000\ndata %d\n%s\n", 1_700_000_000+i, len(message), message)
			if i == 0 {
				fmt.Fprintf(out, "from %s\n", gatetest.Git(t, dir, "rev-parse", "HEAD"))
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

func fastImport(t *testing.T, dir string, write func(*bufio.Writer)) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "fast-import", "--quiet")
	cmd.Dir, cmd.Env, cmd.Stderr = dir, gatetest.Env(), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriterSize(in, 1<<20)
	write(out)
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestMeasureALargeClone prints how long a clone of a repository of 50,000 commits and 1 GB takes
// through the gate, beside one straight from its mirror.
func TestMeasureALargeClone(t *testing.T) {
	if os.Getenv("BOT_BOTTLE_MEASURE") == "" {
		t.Skip("BOT_BOTTLE_MEASURE is not set")
	}
	w := open(t)
	const commits, size = 50_000, 20 << 10
	block := make([]byte, size)
	noise := &pseudo{state: 7}
	fastImport(t, w.up.Bare("app"), func(out *bufio.Writer) {
		for i := range commits {
			_, _ = io.ReadFull(noise, block)
			fmt.Fprintf(out, "commit refs/heads/main\ncommitter A <a@example.org> %d +0000\ndata 1\nx\n", 1_700_000_000+i)
			if i == 0 {
				fmt.Fprintf(out, "from %s\n", gatetest.Git(t, w.up.Bare("app"), "rev-parse", "main"))
			}
			fmt.Fprintf(out, "M 644 inline d%d/f%d\ndata %d\n", i%100, i%10_000, size)
			_, _ = out.Write(block)
			_ = out.WriteByte('\n')
		}
	})
	began := time.Now()
	gatetest.Git(t, "", "ls-remote", w.url+"/app/")
	fmt.Printf("the first fetch into the mirror: %v\n", time.Since(began).Round(time.Millisecond))
	var ours, direct []time.Duration
	for range 2 {
		for _, from := range []struct {
			url string
			to  *[]time.Duration
		}{{"file://" + filepath.Join(w.repo.Mirror, "repo.git"), &direct}, {w.url + "/app/", &ours}} {
			dir := filepath.Join(t.TempDir(), "x")
			began := time.Now()
			gatetest.Git(t, "", "clone", "-q", "--bare", from.url, dir)
			*from.to = append(*from.to, time.Since(began))
			_ = os.RemoveAll(dir)
		}
	}
	fmt.Printf("a clone of 50,000 commits, 1 GB: through the gate %v, from the mirror %v, ratio %.2f\n", least(ours), least(direct), least(ours).Seconds()/least(direct).Seconds())
}
