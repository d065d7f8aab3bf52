package dlp

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// TestRedactionIsBounded gives redaction more findings than it could look at one by one.
func TestRedactionIsBounded(t *testing.T) {
	sums := bytes.Repeat([]byte(`{"a":{"b":1}},`), 150_000)
	tags := bytes.Repeat([]byte(`<a b="1">2</a>`), 150_000)
	for name, text := range map[string][]byte{"objects": append(append([]byte("["), sums...), "0]"...), "tags": tags} {
		var found []Finding
		for i := range 20_000 {
			found = append(found, Finding{Offset: int64(len(text) - 100), Span: 90, Steps: []string{"url"}, Fingerprint: fmt.Sprint(i)})
		}
		for _, conversation := range []bool{false, true} {
			looked := 0
			r := Redaction{
				Whole: true, Conversation: conversation, May: func(Finding) bool { return true },
				Again: func() []Finding { return found },
				Alone: func(p []byte) []Finding { looked += len(p); return nil },
			}
			began := time.Now()
			if _, rest := r.Replace(bytes.Clone(text), 0, found); len(rest) != len(found) || looked > len(text)*9 {
				t.Errorf("%s: %d left, %d looked at", name, len(rest), looked)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s, conversation %v: %v", name, conversation, took)
			}
		}
	}
}
