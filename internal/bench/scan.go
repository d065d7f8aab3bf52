package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/corpus"
)

// measureScan has the scanner and gitleaks' library look at the same clean bytes, in turns. What
// counts is a core's time.
func measureScan(ctx context.Context, w *world, r *report) error {
	progress("scan")
	rows := [][]string{{"clean bytes", "bot-bottle", "budget", "", "gitleaks' library", "ratio"}}
	for _, row := range []struct {
		kind   string
		budget float64
	}{{"text", 150}, {"JSON", 150}, {"binary", 300}} {
		p := corpus.Bulk(row.kind, 8<<20)
		ours, err := scanRate(p)
		if err != nil {
			return err
		}
		theirs := w.gitleaksRate(ctx, p)
		other, ratio := "not here: run scripts/setup bench", "–"
		if theirs > 0 {
			other, ratio = fmt.Sprintf("%.1f MB/s", theirs), times(ours, theirs)
		}
		rows = append(rows, []string{row.kind, fmt.Sprintf("%.0f MB/s", ours), fmt.Sprintf("%.0f MB/s", row.budget), held(ours >= row.budget), other, ratio})
	}
	r.table("Scanning, megabytes for a second of one core", rows)
	return nil
}

func scanRate(p []byte) (float64, error) {
	e := dlp.New([]dlp.Known{{Name: "K", Value: secret.New("correct-horse-Battery-" + strconv.Itoa(9931) + "-staple")}})
	e.Warm()
	scanned, began := 0, used()
	for used()-began < 2*time.Second {
		s := e.Stream("body", dlp.Detectors{Patterns: true, Known: true})
		s.Write(p)
		if found := s.Close(); len(found) > 0 {
			return 0, fmt.Errorf("clean bytes are taken for %s", dlp.Names(found))
		}
		scanned += len(p)
	}
	return float64(scanned) / (used() - began).Seconds() / 1e6, nil
}

// gitleaksRate is 0 where the library was not built.
func (w *world) gitleaksRate(ctx context.Context, p []byte) float64 {
	path := w.path("scan.bytes")
	if err := os.WriteFile(path, p, 0o600); err != nil {
		return 0
	}
	out, err := exec.CommandContext(ctx, oracle(), "speed", path).Output()
	if err != nil {
		return 0
	}
	rate, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		return 0
	}
	return rate / 1e6
}

// oracle is where scripts/setup builds what asks gitleaks' library, by the same rule.
func oracle() string {
	directory := os.Getenv("BOT_BOTTLE_TEST_ORACLE")
	if directory == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		directory = filepath.Join(cache, "bot-bottle-test", "oracle")
	}
	return filepath.Join(directory, "oracle")
}

// used is what this process has used of any core.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
