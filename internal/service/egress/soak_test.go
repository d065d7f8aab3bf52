package egress_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// pattern yields n bytes that tell their own place; the end of it is an error where broken is set.
type pattern struct {
	n, at  int
	broken bool
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.n {
		if p.broken {
			return 0, errors.New("given up on purpose")
		}
		return 0, io.EOF
	}
	n := min(len(b), p.n-p.at)
	for i := range n {
		b[i] = byte(p.at+i) ^ byte((p.at+i)>>8)
	}
	p.at += n
	return n, nil
}

// verify reads a pattern to its end and returns how much came.
func verify(r io.Reader) (int, error) {
	buf, want := make([]byte, 16<<10), make([]byte, 16<<10)
	own := &pattern{n: 1 << 30}
	for {
		n, err := r.Read(buf)
		_, _ = io.ReadFull(own, want[:n])
		if string(buf[:n]) != string(want[:n]) {
			return own.at, errors.New("a byte is wrong")
		}
		if err == io.EOF {
			return own.at, nil
		}
		if err != nil {
			return own.at, err
		}
	}
}

// soak is what the two sides found wrong.
type soak struct {
	done, aborted, refused atomic.Int64
	mu                     sync.Mutex // guards wrong
	wrong                  []string
}

func (s *soak) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 10 {
		s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
	}
}

// answer is the upstream: it verifies what comes, sends what is asked for, and breaks off where
// the path says so.
func (s *soak) answer(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/ok/") {
		s.fail("the upstream saw %s", r.URL.Path)
	}
	n, err := verify(r.Body)
	if declared, _ := strconv.Atoi(r.Header.Get("X-Size")); err == nil && n != declared {
		s.fail("an upload of %d bytes ended well after %d", declared, n)
	}
	size, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/ok/"))
	broken := r.URL.RawQuery == "break"
	if broken {
		_, _ = io.Copy(w, &pattern{n: size / 2})
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = io.Copy(w, &pattern{n: size})
}

// ask makes one request of a random kind.
func (s *soak) ask(ctx context.Context, client *http.Client, random *rand.Rand) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	size, up := random.IntN(200_000), random.IntN(100_000)
	path, method, query := "/ok/", http.MethodGet, ""
	var body io.Reader = http.NoBody
	kind := random.IntN(6)
	switch kind {
	case 0:
		path = "/no/"
	case 1:
		query = "?break"
	case 2, 3:
		method, body = http.MethodPost, &pattern{n: up, broken: kind == 3}
	default:
		up = 0
	}
	if method == http.MethodGet {
		up = 0
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://allowed.example"+path+strconv.Itoa(size)+query, body)
	if err != nil {
		s.fail("%v", err)
		return
	}
	declared := up
	if kind == 3 {
		declared++ // it never comes to that
	}
	req.Header.Set("X-Size", strconv.Itoa(declared))
	resp, err := client.Do(req)
	if err != nil {
		s.aborted.Add(1)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	s.judge(resp, kind, size, cancel)
}

func (s *soak) judge(resp *http.Response, kind, size int, cancel func()) {
	switch {
	case kind == 0:
		if resp.StatusCode != http.StatusForbidden {
			s.fail("a denied path was answered %d", resp.StatusCode)
		}
		s.refused.Add(1)
		_, _ = io.Copy(io.Discard, resp.Body)
		return
	case kind == 3:
		s.aborted.Add(1) // answered before it noticed; half a request may be refused
		return
	case kind == 1 && resp.StatusCode == http.StatusBadGateway:
		s.aborted.Add(1)
		return
	case resp.StatusCode != http.StatusOK:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		s.fail("kind %d was answered %d %s", kind, resp.StatusCode, text)
		return
	}
	if kind == 4 { // the agent leaves in the middle
		_, _ = io.CopyN(io.Discard, resp.Body, int64(size/2))
		cancel()
		s.aborted.Add(1)
		return
	}
	n, err := verify(resp.Body)
	switch {
	case err == nil && (n != size || kind == 1):
		s.fail("kind %d: an answer of %d bytes ended well after %d", kind, size, n)
	case err != nil && kind != 1:
		s.fail("kind %d: an answer broke off after %d of %d bytes: %v", kind, n, size, err)
	}
	s.done.Add(1)
}

// TestManyStreamsWithAborts runs a thousand streams at once over HTTP/1 and HTTP/2, with aborts
// of both sides at random. BOT_BOTTLE_TEST_SOAK sets for how long, such as 1m; else it is short.
func TestManyStreamsWithAborts(t *testing.T) {
	length, streams := 2*time.Second, 200
	if text := os.Getenv("BOT_BOTTLE_TEST_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		streams = 1000
	}
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprintf("upstream h2=%v", back), func(t *testing.T) {
			s := &soak{}
			up := newUpstream(t, back, true, s.answer)
			up.quiet.Store(true)
			w := newWorld(t, setup{
				names:  names{"allowed.example"},
				set:    policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: up.address(), Matches: []policy.Match{{Paths: []policy.PathMatch{{Type: "prefix", Value: "/ok/"}}}}}}},
				limits: egress.Limits{Connections: 4 * streams, PooledIdle: 200 * time.Millisecond},
			})
			clients := []*http.Client{w.client(t, false), w.client(t, true), w.client(t, true)}
			for _, c := range clients {
				c.Timeout = 0
			}
			for range 20 { // pools and caches fill before the measure
				s.ask(t.Context(), clients[0], rand.New(rand.NewPCG(1, 1)))
			}
			w.records.forget()
			goroutines, files, memory := runtime.NumGoroutine(), descriptors(t), heap()
			s.run(t, clients, streams, length/2)
			for _, c := range clients {
				c.CloseIdleConnections()
			}
			for _, text := range s.wrong {
				t.Error(text)
			}
			decided := int64(len(w.records.all()))
			t.Logf("%d streams for %s: %d whole, %d aborted, %d refused, %d lines in the audit log", streams, length/2, s.done.Load(), s.aborted.Load(), s.refused.Load(), decided)
			if s.done.Load() == 0 || s.aborted.Load() == 0 || s.refused.Load() == 0 {
				t.Error("something was never tried")
			}
			w.records.forget()
			settled(t, "goroutines", goroutines+30, runtime.NumGoroutine)
			settled(t, "descriptors", files+30, func() int { return descriptors(t) })
			settled(t, "MiB of memory", int(memory>>20)+24, func() int { return int(heap() >> 20) })
		})
	}
}

func (s *soak) run(t *testing.T, clients []*http.Client, streams int, length time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var all sync.WaitGroup
	for i := range streams {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			for ctx.Err() == nil {
				s.ask(context.WithoutCancel(ctx), clients[i%len(clients)], random)
			}
		})
	}
	all.Wait()
}

// settled waits until a measure is back to what it was, about.
func settled(t *testing.T, what string, most int, measure func() int) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * patience)
	for {
		now := measure()
		if now <= most {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("%d %s, want at most %d", now, what, most)
			return
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
