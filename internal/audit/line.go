package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Limits of one event, in bytes before escaping, so that no line grows with what the agent wrote.
const (
	maxWord    = 128 // kinds, layers, methods, header names
	maxHost    = 512
	maxPath    = 2048
	maxText    = 1024 // rules, reasons, messages
	maxHeaders = 64
	// MaxLine bounds a line of the log, its newline included: every limit above, escaped
	// sixfold and JSON-encoded, stays below it.
	MaxLine = 256 << 10
)

// clean returns e with every text redacted, escaped and cut, and with a time.
func clean(e Event, now time.Time, redact func(string) string) Event {
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Time = e.Time.UTC().Round(0)
	e.N, e.Hash = 0, ""
	safe := func(s *string, limit int) {
		if *s == "" {
			return
		}
		if redact != nil {
			*s = redact(*s)
		}
		*s = Escape(*s, limit)
	}
	for _, word := range []*string{&e.Kind, &e.Verdict, &e.Layer, &e.Via, &e.Proto, &e.Scheme, &e.Method, &e.Injected} {
		safe(word, maxWord)
	}
	safe(&e.Host, maxHost)
	safe(&e.Path, maxPath)
	safe(&e.Rule, maxText)
	safe(&e.Reason, maxText)
	safe(&e.Message, maxText)
	if e.Headers != nil {
		e.Headers = cleanHeaders(e.Headers, safe)
	}
	return e
}

func cleanHeaders(names []string, safe func(*string, int)) []string {
	out := make([]string, 0, min(len(names), maxHeaders+1))
	for i, name := range names {
		if i == maxHeaders {
			return append(out, fmt.Sprintf("…(%d more)", len(names)-i))
		}
		safe(&name, maxWord)
		out = append(out, name)
	}
	return out
}

// encode appends e to buf, with a newline and without its place in the chain.
func encode(buf *bytes.Buffer, e Event) error {
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("cannot encode an event: %w", err)
	}
	return nil
}
