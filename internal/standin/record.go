package standin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Request is what arrived, as the server's HTTP stack read it.
type Request struct {
	Time    time.Time
	Proto   string // "HTTP/1.1", "HTTP/2.0"
	SNI     string // "" without TLS
	Method  string
	Host    string // Host or :authority
	URI     string // path and query, undecoded
	Header  http.Header
	Trailer http.Header
	// Body is the beginning of the body as far as the handler has read it; Size counts all of it.
	Body []byte
	Size int64
	// Done is true once the handler has returned.
	Done bool
}

// Contains reports whether needle stands anywhere in the request: line, headers, body, trailers.
func (r Request) Contains(needle string) bool {
	if strings.Contains(r.Method+" "+r.Host+" "+r.URI, needle) || bytes.Contains(r.Body, []byte(needle)) {
		return true
	}
	for _, headers := range []http.Header{r.Header, r.Trailer} {
		for name, values := range headers {
			if strings.Contains(name, needle) || strings.Contains(strings.Join(values, "\n"), needle) {
				return true
			}
		}
	}
	return false
}

func (r Request) String() string { return fmt.Sprintf("%s %s%s %s", r.Method, r.Host, r.URI, r.Proto) }

// Recorder remembers requests.
type Recorder struct {
	keep int64

	mu      sync.Mutex
	entries []*Request
	changed chan struct{} // closed and replaced with every change
}

func newRecorder(keep int64) *Recorder {
	return &Recorder{keep: keep, changed: make(chan struct{})}
}

// Requests returns all requests so far in the order of their arrival.
func (rec *Recorder) Requests() []Request {
	requests, _ := rec.snapshot()
	return requests
}

// Wait returns the first request, past or future, for which found says true.
// Found is asked again as a request's body grows and when it is done.
func (rec *Recorder) Wait(ctx context.Context, found func(Request) bool) (Request, error) {
	for {
		requests, changed := rec.snapshot()
		for _, r := range requests {
			if found(r) {
				return r, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Request{}, fmt.Errorf("no such request among %d: %w", len(requests), ctx.Err())
		}
	}
}

func (rec *Recorder) snapshot() ([]Request, <-chan struct{}) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	requests := make([]Request, len(rec.entries))
	for i, entry := range rec.entries {
		requests[i] = *entry
		requests[i].Body = bytes.Clone(entry.Body)
	}
	return requests, rec.changed
}

// update changes an entry and wakes those who wait.
func (rec *Recorder) update(change func()) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	change()
	close(rec.changed)
	rec.changed = make(chan struct{})
}

func (rec *Recorder) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entry := &Request{
			Time:   time.Now(),
			Proto:  r.Proto,
			Method: r.Method,
			Host:   r.Host,
			URI:    r.RequestURI,
			Header: r.Header.Clone(),
		}
		if r.TLS != nil {
			entry.SNI = r.TLS.ServerName
		}
		rec.update(func() { rec.entries = append(rec.entries, entry) })
		defer rec.update(func() {
			entry.Trailer = r.Trailer.Clone()
			entry.Done = true
		})
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &recordedBody{ReadCloser: r.Body, rec: rec, entry: entry}
		}
		next.ServeHTTP(w, r)
	})
}

// recordedBody notes what the handler reads.
type recordedBody struct {
	io.ReadCloser
	rec   *Recorder
	entry *Request
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.rec.update(func() {
			b.entry.Size += int64(n)
			if room := b.rec.keep - int64(len(b.entry.Body)); room > 0 {
				b.entry.Body = append(b.entry.Body, p[:min(int64(n), room)]...)
			}
		})
	}
	return n, err
}
