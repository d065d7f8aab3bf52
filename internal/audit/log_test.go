package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const run = "claude-x7k2p"

func newLog(t *testing.T, f *os.File, redact func(string) string) *audit.Log {
	t.Helper()
	return audit.NewLog(f, audit.Genesis(run), redact)
}

func all(t *testing.T, path string, filter audit.Filter) (events []audit.Event, damaged int) {
	t.Helper()
	for e, err := range audit.Read(t.Context(), path, filter, false) {
		switch {
		case errors.Is(err, audit.ErrDamaged):
			damaged++
		case err != nil:
			t.Fatal(err)
		default:
			events = append(events, e)
		}
	}
	return events, damaged
}

func TestEveryEventOfManyIsOneWholeLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := newLog(t, open(t, path), nil)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 1000 {
				l.Record(audit.Event{Kind: "request", Host: "api.example.org", Reason: strings.Repeat("x", 300)})
			}
		})
	}
	group.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	events, damaged := all(t, path, audit.Filter{})
	if len(events) != 8000 || damaged != 0 {
		t.Errorf("got %d events and %d damaged lines, want 8000 and 0", len(events), damaged)
	}
	if r := verify(t, path, audit.Proof{}); len(r.Breaks) != 0 || r.Head.Count != 8000 {
		t.Errorf("the chain of 8 writers does not hold: %+v", r)
	}
}

func TestWhatTheAgentWroteIsEscapedAndCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := newLog(t, open(t, path), nil)
	evil := "a\x1b[2Jb\u202ec\x00\nd\u200b\U000e0041\xff\u009b31m"
	l.Record(audit.Event{
		Kind: "request", Method: evil, Host: evil, Path: "/" + strings.Repeat("é", 9000), Reason: evil, Message: evil,
		Rule: evil, Headers: append([]string{evil}, make([]string, 500)...),
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 16<<10 || strings.Count(string(raw), "\n") != 1 {
		t.Errorf("got %d bytes in %d lines", len(raw), strings.Count(string(raw), "\n"))
	}
	events, _ := all(t, path, audit.Filter{})
	if n := len(events[0].Headers); n != 65 || events[0].Headers[64] != "…(437 more)" {
		t.Errorf("%d header names are kept: %q", n, events[0].Headers)
	}
	if want := `a\x1b[2Jb\u202ec\x00\x0ad\u200b\U000e0041\xff\u009b31m`; events[0].Host != want {
		t.Errorf("host is %q, want %q", events[0].Host, want)
	}
	for _, text := range []string{string(raw), audit.Render(events[0], time.UTC), audit.Render(audit.Event{Host: evil, Path: evil, Message: evil}, time.UTC)} {
		if strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\x1b\x00\n\u202e\u200b\u009b\U000e0041") {
			t.Errorf("a terminal would act on %q", text)
		}
	}
}

func TestRedactSeesEveryText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	token := strings.Join([]string{"tok", "en", "0123456789"}, "-")
	l := newLog(t, open(t, path), func(s string) string { return strings.ReplaceAll(s, token, "***") })
	l.Record(audit.Event{Kind: token, Verdict: token, Layer: token, Via: token, Proto: token, Scheme: token, Method: token, Host: token,
		Path: token, Rule: token, Reason: token, Injected: token, Headers: []string{token}, Message: token})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(path)
	if strings.Contains(string(raw), token) || strings.Count(string(raw), "***") != 14 {
		t.Errorf("a value is in the log: %s", raw)
	}
}

func TestFullDiskClosesFailed(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := newLog(t, full, nil)
	l.Record(audit.Event{Kind: "note"})
	select {
	case <-l.Failed():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told that the disk is full")
	}
	for range 5000 { // more than the backlog: must not hang
		l.Record(audit.Event{Kind: "note"})
	}
	if err := l.Close(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Close says %v, want ENOSPC", err)
	}
}

func TestSlowDiskHoldsEventsAndLosesNone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := newLog(t, w, nil)
	const events = 5000 // more than the backlog and the pipe hold
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		for range events {
			l.Record(audit.Event{Kind: "request", Reason: strings.Repeat("x", 100)})
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	dec := json.NewDecoder(r)
	got := 0
	for ; dec.More(); got++ {
		var e audit.Event
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
	}
	<-recorded
	r.Close()
	if got != events {
		t.Errorf("%d of %d events arrived", got, events)
	}
}

func TestTornLineIsLeftOutAndEndedByTheNextRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(`{"time":"2026-01-02T03:04:05Z","kind":"note"}`+"\n"+`{"time":"2026-`), 0o600); err != nil {
		t.Fatal(err)
	}
	if events, damaged := all(t, path, audit.Filter{}); len(events) != 1 || damaged != 0 {
		t.Fatalf("got %d events and %d damaged, want 1 and 0", len(events), damaged)
	}
	reopen(t, path, nil, audit.Event{Kind: "lifecycle", Message: "resumed"})
	if events, damaged := all(t, path, audit.Filter{}); len(events) != 2 || damaged != 1 {
		t.Errorf("got %d events and %d damaged, want 2 and 1", len(events), damaged)
	}
}

func TestFollowSeesNewLinesAndEndsWhenTheFileIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := newLog(t, open(t, path), nil)
	l.Record(audit.Event{Kind: "note", Message: "first"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	for e, err := range audit.Read(ctx, path, audit.Filter{Kinds: []string{"note"}}, true) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Message)
		switch e.Message {
		case "first":
			l.Record(audit.Event{Kind: "dns", Message: "not chosen"})
			l.Record(audit.Event{Kind: "note", Message: "second"})
		case "second":
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if ctx.Err() != nil || strings.Join(got, " ") != "first second" {
		t.Errorf("got %v, context %v", got, ctx.Err())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := newLog(t, open(t, path), nil)
	l.Record(audit.Event{Kind: "note"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range audit.Read(ctx, path, audit.Filter{}, true) {
		if err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMissingLogIsNotFound(t *testing.T) {
	for _, err := range audit.Read(t.Context(), filepath.Join(t.TempDir(), "none"), audit.Filter{}, true) {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("got %v, want a fault of kind NotFound", err)
		}
	}
}

func TestFilter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := audit.Event{Time: now, Kind: "request", Verdict: "deny", Host: "a.example.org"}
	for name, row := range map[string]struct {
		filter audit.Filter
		want   bool
	}{
		"the zero filter chooses all":          {audit.Filter{}, true},
		"one of the kinds":                     {audit.Filter{Kinds: []string{"dns", "request"}}, true},
		"none of the kinds":                    {audit.Filter{Kinds: []string{"dns"}}, false},
		"another verdict":                      {audit.Filter{Verdict: "allow"}, false},
		"a host in another case":               {audit.Filter{Host: "A.Example.org"}, true},
		"names below a wildcard":               {audit.Filter{Host: "*.example.org"}, true},
		"a wildcard does not cover its parent": {audit.Filter{Host: "*.a.example.org"}, false},
		"since that moment":                    {audit.Filter{Since: now}, true},
		"since later":                          {audit.Filter{Since: now.Add(1)}, false},
		"until that moment":                    {audit.Filter{Until: now}, false},
		"until later":                          {audit.Filter{Until: now.Add(1)}, true},
	} {
		if got := row.filter.Match(e); got != row.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestRender(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, e := range map[string]audit.Event{
		`03:04:05 deny  request   GET аpple.example:443/x → 403 (egress, transparent) — no route`: {
			Time: at, Kind: "request", Verdict: "deny", Method: "GET", Host: "аpple.example", Port: 443, Path: "/x",
			Status: 403, Layer: "egress", Via: "transparent", Reason: "no route"},
		`03:04:05       lifecycle ready`: {Time: at, Kind: "lifecycle", Message: "ready"},
	} {
		want = strings.Replace(want, "аpple.example", "xn--pple-43d.example", 1)
		if got := audit.Render(e, time.UTC); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := audit.Punycode("bad\x1b host\u202e ü"); strings.ContainsAny(got, "\x1b\u202eü") {
		t.Errorf("Punycode leaves %q", got)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff", 10)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(0, min(limit, 4096))
		once := audit.Escape(s, limit)
		if strings.ContainsFunc(once, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x202e || (r >= 0x80 && r < 0xa0) }) {
			t.Errorf("%q holds a control rune", once)
		}
		if audit.Escape(once, 1<<20) != once {
			t.Errorf("escaping %q twice changes it", once)
		}
	})
}
