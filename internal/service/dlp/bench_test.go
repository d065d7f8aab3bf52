package dlp_test

import (
	"math/rand"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

func all() dlp.Detectors { return dlp.Detectors{Patterns: true, Known: true} }

func bench(b *testing.B, p []byte) {
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
	// Others may use the machine too: what counts is a core's time, not the clock's.
	b.ReportMetric(float64(len(p))*float64(b.N)/(cpu()-spent).Seconds()/1e6, "MB/cpu-s")
}

// cpu is what this process has used of any core.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkText(b *testing.B) {
	words := strings.Fields("the quick brown fox jumps over a lazy dog while engineers read their release notes and change the function that parses requests")
	r := rand.New(rand.NewSource(1))
	var t strings.Builder
	for t.Len() < 4<<20 {
		t.WriteString(words[r.Intn(len(words))])
		t.WriteByte(" \n,. "[r.Intn(5)])
	}
	bench(b, []byte(t.String()))
}

func BenchmarkJSON(b *testing.B) {
	r := rand.New(rand.NewSource(1))
	var t strings.Builder
	t.WriteString("[")
	for t.Len() < 4<<20 {
		t.WriteString(`{"role":"user","content":"Please read main.go and explain what the handler does.\nThen fix it.","index":12,"name":"alpha","size":4096,"ok":true},`)
		_ = r
	}
	bench(b, []byte(t.String()))
}

func BenchmarkBinary(b *testing.B) {
	p := make([]byte, 4<<20)
	rand.New(rand.NewSource(1)).Read(p)
	bench(b, p)
}
