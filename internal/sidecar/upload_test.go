package sidecar_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// endless yields n bytes: half of them words, half of them drawn by lot.
type endless struct {
	n     int64
	block []byte
	at    int
}

func newEndless(n int64) *endless {
	e := &endless{n: n, block: make([]byte, 1<<20)}
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(e.block)
	const words = "plain words and nothing else, line by line\n"
	for i := 0; i < len(e.block)/2; i += len(words) {
		copy(e.block[i:], words)
	}
	return e
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), e.n)], e.block[e.at:])
	e.at, e.n = (e.at+n)%len(e.block), e.n-int64(n)
	return n, nil
}

// upload sends n bytes through a sidecar that scans them and returns its highest resident size.
func upload(t testing.TB, n int64) (most int64, took time.Duration) {
	t.Helper()
	w := newWire(t, nil)
	w.drain = true
	r, ready := serving(t, false, nil, w.route("example.com", policy.DLP{OnMatch: "block"}))
	client := agent(t, r, ready)
	client.Timeout = 10 * time.Minute
	done := make(chan error, 1)
	began := time.Now()
	go func() {
		response, err := client.Post("https://example.com/upload", "application/octet-stream", newEndless(n))
		if err == nil {
			err = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("the upload: %d", response.StatusCode)
			}
		}
		done <- err
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if got := w.bytes.Load(); got != n {
				t.Errorf("of %d bytes %d arrived", n, got)
			}
			return most, time.Since(began)
		case <-tick.C:
			stats, err := r.client.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, stats.ResidentBytes)
		}
	}
}

func TestALargeUploadIsScannedAtFlatMemory(t *testing.T) {
	small, _ := upload(t, 8<<20)
	large, _ := upload(t, 96<<20)
	t.Logf("resident at most: %d MiB for 8 MiB, %d MiB for 96 MiB", small>>20, large>>20)
	if large > small+48<<20 || large > 128<<20 {
		t.Errorf("memory grows with the body: %d MiB, then %d MiB", small>>20, large>>20)
	}
}

// BenchmarkUpload sends a gigabyte; -benchtime 1x is enough.
func BenchmarkUpload(b *testing.B) {
	for b.Loop() {
		most, took := upload(b, 1<<30)
		b.ReportMetric(float64(most)/(1<<20), "MiB-resident")
		b.ReportMetric(1024/took.Seconds(), "MiB/s")
	}
}
