package backendtest

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// watched is an output in which a test waits for words.
type watched struct {
	want chan string

	mu   sync.Mutex // guards text
	text strings.Builder
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	select {
	case w.want <- "":
	default:
	}
	return len(p), nil
}

func (w *watched) until(t *testing.T, words string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		text := w.text.String()
		w.mu.Unlock()
		if strings.Contains(text, words) {
			return
		}
		select {
		case <-w.want:
		case <-deadline:
			t.Fatalf("%q did not come; there is %q", words, text)
		}
	}
}
