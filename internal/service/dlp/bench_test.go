package dlp_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/corpus"
)

func all() dlp.Detectors { return dlp.Detectors{Patterns: true, Known: true} }

// bench returns the bytes that a second of a core's time is enough for: others may use the machine
// too, so the clock says little.
func bench(b *testing.B, kind string) float64 {
	p := corpus.Bulk(kind, 4<<20)
	e := dlp.New([]dlp.Known{{Name: "K", Value: secret.New("correct-horse-Battery-9931-staple")}})
	e.Warm()
	b.SetBytes(int64(len(p)))
	spent := cpu()
	for b.Loop() {
		s := e.Stream("body", all())
		s.Write(p)
		if f := s.Close(); len(f) > 0 {
			b.Fatal(f)
		}
	}
	rate := float64(len(p)) * float64(b.N) / (cpu() - spent).Seconds()
	b.ReportMetric(rate/1e6, "MB/cpu-s")
	return rate
}

// cpu is what this process has used of any core.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkText(b *testing.B)   { bench(b, "text") }
func BenchmarkJSON(b *testing.B)   { bench(b, "JSON") }
func BenchmarkBinary(b *testing.B) { bench(b, "binary") }

// BenchmarkBesideGitleaks has gitleaks, as a library, scan the same bytes in the same run.
func BenchmarkBesideGitleaks(b *testing.B) {
	oracle := need.OracleFile(b, "oracle")
	for _, kind := range []string{"text", "JSON", "binary"} {
		b.Run(kind, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), kind)
			if err := os.WriteFile(path, corpus.Bulk(kind, 4<<20), 0o600); err != nil {
				b.Fatal(err)
			}
			out, err := exec.CommandContext(context.Background(), oracle, "speed", path).Output()
			if err != nil {
				b.Fatal(err)
			}
			theirs, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			if err != nil {
				b.Fatal(err)
			}
			ours := bench(b, kind)
			b.ReportMetric(theirs/1e6, "gitleaks-MB/cpu-s")
			b.ReportMetric(ours/theirs, "times")
		})
	}
}
