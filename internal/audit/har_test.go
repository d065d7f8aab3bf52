package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
)

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
}

func yielding(err error, events ...audit.Event) iter.Seq2[audit.Event, error] {
	return func(yield func(audit.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(audit.Event{}, err)
		}
	}
}

func TestHARHoldsRequestsAndNothingElse(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var out strings.Builder
	err := audit.WriteHAR(&out, "v1", yielding(nil,
		audit.Event{Time: at, Kind: "dns", Host: "a.example.org"},
		audit.Event{Time: at, Kind: "request", Verdict: "allow", Scheme: "https", Method: "POST", Host: "api.example.org", Port: 443, Path: "/v1/x",
			Proto: "h2", Status: 201, Sent: 10, Received: 20, Millis: 1500, Headers: []string{"accept"}},
		audit.Event{Time: at, Kind: "request", Verdict: "deny", Method: "GET", Host: "::1", Port: 8080, Status: 403, Layer: "egress", Reason: "no route"},
	))
	if err != nil {
		t.Fatal(err)
	}
	var har struct {
		Log struct {
			Version string
			Creator struct{ Name, Version string }
			Entries []struct {
				StartedDateTime time.Time
				Time            float64
				Comment         string
				Request         struct {
					Method, URL, HTTPVersion string
					BodySize                 int64
					Headers                  []struct{ Name, Value string }
				}
				Response struct {
					Status  int
					Content struct{ Size int64 }
				}
			}
		}
	}
	decode(t, out.String(), &har)
	if har.Log.Version != "1.2" || har.Log.Creator.Version != "v1" || len(har.Log.Entries) != 2 {
		t.Fatalf("got %s", out.String())
	}
	first, second := har.Log.Entries[0], har.Log.Entries[1]
	if first.Request.URL != "https://api.example.org/v1/x" || first.Request.Method != http.MethodPost || first.Request.BodySize != 10 || first.Response.Content.Size != 20 ||
		!first.StartedDateTime.Equal(at.Add(-1500*time.Millisecond)) || first.Request.Headers[0].Name != "accept" || first.Request.Headers[0].Value != "" {
		t.Errorf("the first is %+v", first)
	}
	if second.Request.URL != "https://[::1]:8080/" || second.Response.Status != 403 || second.Comment != "deny; egress; no route" {
		t.Errorf("the second is %+v", second)
	}
}

func TestAnArchiveThatEndsEarlyIsWholeUpToThere(t *testing.T) {
	broken := errors.New("broken")
	var out strings.Builder
	err := audit.WriteHAR(&out, "v1", yielding(broken, audit.Event{Kind: "request", Host: "a"}))
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	var any map[string]any
	decode(t, out.String(), &any)
}

func TestCountAgreesWithReading(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := newLog(t, open(t, path), nil)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, e := range []audit.Event{
		{Kind: "lifecycle", Message: "sidecar ready"}, {Kind: "request", Verdict: "deny"}, {Kind: "lifecycle", Message: audit.AgentStarted},
		{Kind: "request", Verdict: "allow"}, {Kind: "request", Verdict: "deny"}, {Kind: "connect", Verdict: "deny"},
		{Kind: "dns", Verdict: "deny"}, {Kind: "alarm"}, {Kind: "note", Message: `"kind":"request","verdict":"deny"`},
		{Kind: "proposal", Verdict: "allow"},
	} {
		e.Time = at.Add(time.Duration(i) * time.Second)
		l.Record(e)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := audit.Count(t.Context(), path)
	if want := (audit.Tally{Requests: 3, Refused: 2, Alarms: 1, Last: at.Add(6 * time.Second)}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestRecentBeginsBeforeTheEndAtAWholeLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := newLog(t, open(t, path), nil)
	const events = 5000
	for i := range events {
		l.Record(audit.Event{Kind: "note", Message: fmt.Sprint(i), Reason: strings.Repeat("x", 100)})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := 0
	for e, err := range audit.Recent(ctx, path, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; e.Message == fmt.Sprint(events-1) {
			break
		}
	}
	if ctx.Err() != nil || seen < 100 || seen >= events {
		t.Errorf("%d events were seen, %v", seen, ctx.Err())
	}
}
