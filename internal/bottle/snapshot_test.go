package bottle_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/bottle"
)

// leaves is a run whose agent ends badly with a record of its session as fill makes it. It returns
// where the record is kept, and what a person was told.
func leaves(t *testing.T, fill func(dir string) error) (kept, said string) {
	t.Helper()
	w := newWorld(t, "", func(_ context.Context, _ backend.Command, home string, _ backend.Stdio) backend.Exit {
		dir := filepath.Join(home, ".sessions", "p")
		if err := errors.Join(os.MkdirAll(dir, 0o700), fill(dir), os.WriteFile(filepath.Join(dir, "good.jsonl"), []byte("{}\n"), 0o600)); err != nil {
			t.Error(err)
		}
		return backend.Exit{Code: 3}
	})
	w.deps.Progress = func(format string, args ...any) { said += fmt.Sprintf(format, args...) + "\n" }
	out, err := w.deps.Start(t.Context(), w.launch)
	if err != nil || !out.Kept {
		t.Errorf("%+v, %v", out, err)
	}
	w.settled(t)
	return filepath.Join(w.run.Transcript(), "p"), said
}

func sparse(path string, size int64) error {
	return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size))
}

// blocks is what a file takes on the disk, and its size; zero where it is not there.
func blocks(path string) (taken, size int64) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, 0
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512, info.Size()
}

func TestARecordThatIsTooMuchIsLeftAndNamed(t *testing.T) {
	const huge, large = 40 << 30, 900 << 20
	kept, said := leaves(t, func(dir string) error {
		return errors.Join(sparse(filepath.Join(dir, "huge\x1b[2J"), huge), sparse(filepath.Join(dir, "a"), large), sparse(filepath.Join(dir, "b"), large))
	})
	if raw, err := os.ReadFile(filepath.Join(kept, "good.jsonl")); string(raw) != "{}\n" {
		t.Errorf("what fits is %q, %v", raw, err)
	}
	if _, size := blocks(filepath.Join(kept, "huge\x1b[2J")); size != 0 {
		t.Errorf("of a file of %d bytes %d are kept", int64(huge), size)
	}
	takenA, a := blocks(filepath.Join(kept, "a"))
	takenB, b := blocks(filepath.Join(kept, "b"))
	if a+b != large || takenA+takenB > 1<<20 {
		t.Errorf("two of 900 MB together: %d and %d bytes are kept, which take %d", a, b, takenA+takenB)
	}
	if !strings.Contains(said, `huge\x1b[2J (there is too much of it)`) || strings.Contains(said, "\x1b") {
		t.Errorf("told: %q", said)
	}
}

func TestARecordIsKeptWithinABudgetAndATime(t *testing.T) {
	dir := t.TempDir()
	for i := range 40 {
		if err := os.MkdirAll(filepath.Join(dir, "from", "p", fmt.Sprint(i), "deeper"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(ctx context.Context, entries int) (kept, left int) {
		t.Helper()
		target := t.TempDir()
		from, err := os.OpenRoot(filepath.Join(dir, "from"))
		to, err2 := os.OpenRoot(target)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = errors.Join(from.Close(), to.Close()) }()
		if left, err = bottle.Keep(ctx, from, to, "p", 0, entries); err != nil {
			t.Error(err)
		}
		_ = filepath.WalkDir(target, func(string, os.DirEntry, error) error { kept++; return nil }) // it reports none
		return kept - 1, left                                                                       // without the target itself
	}
	for entries, want := range map[int]int{80: 80, 79: 79, 10: 10, 0: 0} {
		if kept, left := keep(t.Context(), entries); kept != want || (left == 0) != (entries == 80) {
			t.Errorf("with a budget of %d: %d are kept, %d left", entries, kept, left)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if kept, left := keep(ctx, 80); kept != 0 || left == 0 {
		t.Errorf("when the time is over %d are kept, %d left", kept, left)
	}
}

func TestARecordThatCannotBeReadIsLeftAndNamed(t *testing.T) {
	kept, said := leaves(t, func(dir string) error {
		closed := filepath.Join(dir, "closed")
		return errors.Join(os.WriteFile(filepath.Join(dir, "none"), nil, 0), os.Mkdir(closed, 0), os.Symlink("/etc/passwd", filepath.Join(dir, "link")),
			syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", 100)), 0o700))
	})
	if _, err := os.Stat(filepath.Join(kept, "good.jsonl")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"link", "pipe", strings.Repeat("d/", 80)} {
		if _, err := os.Lstat(filepath.Join(kept, name)); err == nil {
			t.Errorf("%s is kept", name)
		}
	}
	wants := []string{"/d/d (there is too much of it)"}
	if os.Geteuid() != 0 { // who may read everything
		wants = append(wants, "none (permission denied)", "closed (permission denied)")
	}
	for _, want := range wants {
		if !strings.Contains(said, want) {
			t.Errorf("told: %q, without %q", said, want)
		}
	}
}
