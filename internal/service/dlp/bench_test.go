package dlp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
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
func bench(b *testing.B, kind string) float64 { return benchBytes(b, corpus.Bulk(kind, 4<<20)) }

func benchBytes(b *testing.B, p []byte) float64 {
	e := dlp.New([]dlp.Known{{Name: "K", Value: secret.New("violet-Otter-5128-lantern")}})
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

// BenchmarkSource and BenchmarkConversation look at what agents send all day: this project's own sources, as
// they stand and as the results of a tool that reads them.
func BenchmarkSource(b *testing.B) { benchBytes(b, bytes.Join(sources(b), nil)) }

func BenchmarkConversation(b *testing.B) {
	var messages []any
	for _, raw := range sources(b) {
		var text strings.Builder
		for i, line := range strings.Split(string(raw), "\n") {
			fmt.Fprintf(&text, "%6d\t%s\n", i+1, line)
		}
		messages = append(messages, map[string]any{"role": "user", "content": []any{map[string]any{"type": "tool_result", "content": text.String()}}})
	}
	p, err := json.Marshal(map[string]any{"model": "m", "messages": messages})
	if err != nil {
		b.Fatal(err)
	}
	benchBytes(b, p)
}

// sources are files of this project, but for those that hold what is looked for.
func sources(b *testing.B) (out [][]byte) {
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/dlp/") || strings.Contains(path, "redteam") {
			return err
		}
		raw, err := os.ReadFile(path)
		out = append(out, raw)
		return err
	})
	if err != nil || len(out) == 0 {
		b.Fatal(len(out), err)
	}
	return out
}

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
