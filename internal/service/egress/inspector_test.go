package egress_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// watchman blocks what has the word "forbidden", and does what the target says besides.
type watchman struct{ closed, made atomic.Int64 }

func (m *watchman) Inspect(egress.Exchange) egress.Inspector {
	m.made.Add(1)
	return &look{m: m}
}

type look struct{ m *watchman }

func blocked() error { return &egress.Blocked{Reason: "a forbidden word", Rule: "word"} }

func (l *look) Request(_ context.Context, head *egress.Head) error {
	switch {
	case strings.Contains(head.Query, "forbidden"):
		return blocked()
	case strings.Contains(head.Query, "broken"):
		return errors.New("the scanner is dead")
	case strings.Contains(head.Query, "elsewhere"):
		head.Path = "/denied"
	case strings.Contains(head.Query, "malform"):
		head.Path = "/a/../b"
	case strings.Contains(head.Query, "redact"):
		head.Query, head.HasQuery = "q=***", true
		head.Header = slices.DeleteFunc(head.Header, func(f egress.Field) bool { return strings.EqualFold(f.Name, "X-Drop") })
	}
	return nil
}

func (l *look) RequestBody(_ context.Context, body io.Reader) io.Reader  { return &scan{r: body} }
func (l *look) ResponseBody(_ context.Context, body io.Reader) io.Reader { return &scan{r: body} }
func (l *look) Messages(_ context.Context, _ egress.Direction, frames io.Reader) io.Reader {
	return &scan{r: frames}
}

func (l *look) Response(_ context.Context, _ int, header egress.Header) error {
	if header.Get("X-Evil") != "" {
		return blocked()
	}
	return nil
}

func (l *look) Close() { l.m.closed.Add(1) }

type scan struct{ r io.Reader }

func (s *scan) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if bytes.Contains(p[:n], []byte("forbidden")) {
		return 0, blocked()
	}
	return n, err
}

func TestWhatAnInspectorBlocksDoesNotLeave(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		var whole atomic.Int64
		up := newUpstream(t, h2, true, func(w http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); err != nil || bytes.Contains(body, []byte("forbidden")) {
				return
			}
			whole.Add(1)
			if r.URL.Path == "/evil" {
				w.Header().Set("X-Evil", "1")
			}
			if r.URL.Path == "/says" {
				_, _ = io.WriteString(w, "forbidden")
			}
			_, _ = io.WriteString(w, r.RequestURI+" "+r.Header.Get("X-Drop"))
		})
		men := &watchman{}
		w := newWorld(t, setup{
			names: names{"allowed.example"}, inspectors: men,
			set: policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: up.address(), Matches: []policy.Match{
				{Paths: []policy.PathMatch{{Type: "exact", Value: "/"}, {Type: "exact", Value: "/evil"}, {Type: "exact", Value: "/says"}}},
			}}}},
		})
		client := w.client(t, h2)
		big := strings.Repeat("x", 1<<20) + "forbidden"
		for _, c := range []struct {
			target, body string
			status       int
			reached      int64
		}{
			{"/?q=forbidden", "", 403, 0}, {"/?q=broken", "", 403, 0}, {"/?q=elsewhere", "", 403, 0}, {"/?q=malform", "", 403, 0},
			{"/", "a forbidden word", 403, 0}, {"/", big, 403, 0}, {"/evil", "", 403, 1}, {"/?q=redact", "fine", 200, 1},
		} {
			before := whole.Load()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://allowed.example"+c.target, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Drop", "dropped")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(c.target, err)
			}
			got := text(t, resp)
			if resp.StatusCode != c.status || whole.Load()-before != c.reached {
				t.Errorf("h2=%v %s: %d, the upstream saw %d whole: %s", h2, c.target, resp.StatusCode, whole.Load()-before, got)
			}
			if c.status == 200 && got != "/?q=*** " {
				t.Errorf("h2=%v: what the inspector changed was not sent: %q", h2, got)
			}
		}
		blockedAnswer(t, client)
		client.CloseIdleConnections()
		if men.made.Load() == 0 {
			t.Error("no inspector was made")
		}
	}
}

// blockedAnswer asks for a body that is blocked: it must not arrive, nor look whole.
func blockedAnswer(t *testing.T, client *http.Client) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://allowed.example/says", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); err == nil || bytes.Contains(body, []byte("forbidden")) {
		t.Errorf("a blocked answer looks whole: %q %v", body, err)
	}
}
