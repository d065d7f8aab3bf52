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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// pattern yields n bytes that nobody else's key yields; the end of it is an error where broken is set.
type pattern struct {
	left   int
	broken bool
	source *rand.ChaCha8
}

func newPattern(key uint64, n int) *pattern {
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(key >> (8 * i))
	}
	return &pattern{left: n, source: rand.NewChaCha8(seed)}
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		if p.broken {
			return 0, errors.New("given up on purpose")
		}
		return 0, io.EOF
	}
	n, _ := p.source.Read(b[:min(len(b), p.left)])
	p.left -= n
	return n, nil
}

var errWrongByte = errors.New("a byte is wrong")

// verify reads the pattern of a key to its end and returns how much came.
func verify(r io.Reader, key uint64) (int, error) {
	buf, want := make([]byte, 16<<10), make([]byte, 16<<10)
	own, total := newPattern(key, 1<<40), 0
	for {
		n, err := r.Read(buf)
		_, _ = own.Read(want[:n])
		if string(buf[:n]) != string(want[:n]) {
			return total, errWrongByte
		}
		total += n
		switch err {
		case nil:
		case io.EOF:
			return total, nil
		default:
			return total, err
		}
	}
}

// kind is one sort of stream, of which a client has one at a time.
type kind struct {
	name string
	host string // whose upstream speaks HTTP/1 or HTTP/2
	h2   bool   // of the agent
	run  func(s *soak, st *stream)
}

// stream is one of them: how it goes is drawn before it begins.
type stream struct {
	kind
	client *http.Client
	how    how
	key    uint64 // of its bytes
	random *rand.Rand
}

// how a stream goes.
type how int

const (
	whole how = iota
	denied
	agentLeaves
	upstreamLeaves
	hows
)

// soak is what a thousand streams share.
type soak struct {
	w            *world
	streams      int
	pace         time.Duration // the longest pause of an upstream in the middle of a stream
	calm         time.Duration // how long a measure must stand still to be the first
	mu           sync.Mutex    // guards what follows
	wrong        []string
	counts       map[string]*[hows]int
	noes         int // that the agents were told
	logged       int
	deniedLogged int
}

func (s *soak) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 10 {
		s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
	}
}

func (s *soak) count(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[st.name] == nil {
		s.counts[st.name] = &[hows]int{}
	}
	s.counts[st.name][st.how]++
	if st.how == denied {
		s.noes++
	}
}

// judge holds each line of the audit log against what its path or name must meet.
func (s *soak) judge(e audit.Event) {
	no := strings.HasPrefix(e.Path, "/no/") || e.Host == "denied.example"
	policyDenied := e.Verdict == "deny" && e.Layer == policy.LayerEgress
	s.mu.Lock()
	s.logged++
	if policyDenied {
		s.deniedLogged++
	}
	s.mu.Unlock()
	switch {
	case no != policyDenied:
		s.fail("the audit log has %s (%s) for %s %s%s", e.Verdict, e.Layer, e.Proto, e.Host, e.Path)
	case e.Verdict != "allow" && !policyDenied && e.Layer != policy.LayerProtocol:
		s.fail("the audit log has %s (%s: %s) for %s %s%s", e.Verdict, e.Layer, e.Reason, e.Proto, e.Host, e.Path)
	}
}

func (s *soak) policy(h1, h2 *upstream, database string) policy.Set {
	ok := []policy.Match{{Paths: []policy.PathMatch{{Type: "prefix", Value: "/ok/"}}}}
	return policy.Set{Log: "full", Routes: []policy.Route{
		{Host: "one.example", ConnectTo: h1.address(), Matches: ok},
		{Host: "two.example", ConnectTo: h2.address(), Matches: ok},
		{Host: "through.example", ConnectTo: h1.address(), TLS: policy.TLSPassthrough},
		{Host: "db.example", ConnectTo: database, Protocol: policy.ProtocolTCP, Ports: []uint16{5432}},
	}}
}

// TestManyStreamsWithAborts runs streams of every sort at once, with aborts of both sides and
// refusals at random: no verdict is wrong, no body is cut short unsaid, nothing is left behind.
// BOT_BOTTLE_TEST_SOAK sets for how long, such as 1m, and then there are a thousand.
func TestManyStreamsWithAborts(t *testing.T) {
	length, s := 2*time.Second, &soak{streams: 200, calm: time.Second, counts: map[string]*[hows]int{}}
	if text := os.Getenv("BOT_BOTTLE_TEST_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		s.streams, s.calm, s.pace = 1000, 35*time.Second, 6*time.Second
	}
	h1, h2 := newUpstream(t, false, true, s.answer), newUpstream(t, true, true, s.answer)
	h1.quiet.Store(true)
	h2.quiet.Store(true)
	s.w = newWorld(t, setup{
		names:  names{"one.example", "two.example", "through.example", "db.example", "denied.example"},
		set:    s.policy(h1, h2, rawUpstream(t, s.database)),
		limits: egress.Limits{Connections: 4 * s.streams, PooledIdle: 200 * time.Millisecond},
	})
	s.w.records.instead = s.judge
	clients := s.clients(t)
	quiet := func() {
		for _, c := range clients {
			c.CloseIdleConnections()
		}
	}
	s.run(t, clients, length/10) // pools and caches fill before the measure, and what the runtime keeps of each goroutine
	before := s.rest(t, measure{}, quiet)
	s.counts, s.noes, s.logged, s.deniedLogged = map[string]*[hows]int{}, 0, 0, 0
	s.run(t, clients, length)
	after := s.rest(t, before, quiet)
	s.report(t, length, before, after)
}

// run keeps s.streams streams open for a while, and then lets each end.
func (s *soak) run(t *testing.T, clients []*http.Client, length time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var all sync.WaitGroup
	list := kinds()
	for i := range s.streams {
		all.Go(func() {
			random, k := rand.New(rand.NewPCG(uint64(i), 7)), list[i%len(list)]
			for n := i / len(list); ctx.Err() == nil; n++ {
				k.run(s, &stream{k, clients[i%len(list)], how(n % int(hows)), random.Uint64(), random})
			}
		})
	}
	all.Wait()
}

func (s *soak) report(t *testing.T, length time.Duration, before, after measure) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.wrong {
		t.Error(text)
	}
	if s.noes != s.deniedLogged {
		t.Errorf("the agents were refused %d times, and the audit log has %d", s.noes, s.deniedLogged)
	}
	total := 0
	for _, k := range kinds() {
		n := s.counts[k.name]
		if n == nil || slices.Contains(n[:], 0) {
			t.Errorf("%s: something was never tried: %v", k.name, n)
			continue
		}
		total += n[whole] + n[denied] + n[agentLeaves] + n[upstreamLeaves]
		t.Logf("%s: %d whole, %d refused, %d left by the agent, %d by the upstream", k.name, n[whole], n[denied], n[agentLeaves], n[upstreamLeaves])
	}
	t.Logf("%d at once for %s: %d in all, %d lines in the audit log", s.streams, length, total, s.logged)
	t.Logf("before: %s; after: %s", before, after)
}

// measure is what a process holds.
type measure struct {
	goroutines, files int
	heap              int64
}

func (m measure) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MiB", m.goroutines, m.files, float64(m.heap)/(1<<20))
}

// exceeds allows for what grows for good, such as the buckets of a map.
func (m measure) exceeds(before measure) bool {
	return m.goroutines > before.goroutines || m.files > before.files || m.heap > before.heap+2<<20
}

// rest waits until no more is held than before, or for the zero value until it has stood still for
// a while: the timers of an HTTP/2 connection hold its memory for half a minute after its end.
func (s *soak) rest(t *testing.T, before measure, quiet func()) measure {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(6*patience + s.calm)
	var last measure
	for since := time.Now(); ; {
		quiet()
		_ = heap() // what pools hold is let go by the second collection
		now := measure{runtime.NumGoroutine(), descriptors(t), heap()}
		if now.goroutines != last.goroutines || now.files != last.files {
			since = time.Now()
		}
		if last = now; before == (measure{}) && time.Since(since) > s.calm || before != (measure{}) && !now.exceeds(before) {
			return now
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("left behind: %s, at first there were %s", now, before)
			return now
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
