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
	maxRoutes  = 16 // of a change, each way
	maxRoute   = 320
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
	for _, word := range []*string{&e.Kind, &e.Verdict, &e.Would, &e.Layer, &e.Via, &e.Proto, &e.Scheme, &e.Method, &e.Injected} {
		safe(word, maxWord)
	}
	safe(&e.Host, maxHost)
	safe(&e.Path, maxPath)
	safe(&e.Rule, maxText)
	safe(&e.Reason, maxText)
	safe(&e.Message, maxText)
	e.Headers = cleanList(e.Headers, maxHeaders, maxWord, safe)
	e.Before = cleanList(e.Before, maxRoutes, maxRoute, safe)
	e.After = cleanList(e.After, maxRoutes, maxRoute, safe)
	return e
}

func cleanList(texts []string, most, limit int, safe func(*string, int)) []string {
	if texts == nil {
		return nil
	}
	out := make([]string, 0, min(len(texts), most+1))
	for i, text := range texts {
		if i == most {
			return append(out, fmt.Sprintf("…(%d more)", len(texts)-i))
		}
		safe(&text, limit)
		out = append(out, text)
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
