package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Tally is what a log adds up to, without what the self-check of each start asked for.
type Tally struct {
	Requests int64     // connections and requests that were decided, without lookups of names
	Refused  int64     // of those, the denied ones
	Alarms   int64     // findings, and what did not hold
	Last     time.Time // when something was last decided; zero: never
}

// Count adds up the log at path, for whoever has no sidecar to ask. It looks at the bytes of a
// line, not at its meaning, so that a long log takes no longer than reading it.
func Count(ctx context.Context, path string) (Tally, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return Tally{}, fault.New(fault.NotFound, "cannot read the audit log: %w", err)
	}
	if err != nil {
		return Tally{}, fmt.Errorf("cannot read the audit log: %w", err)
	}
	defer file.Close()
	var t, before Tally // before the sidecar's last start
	var last []byte
	// A quote inside of a value is written as \", so that these match fields only.
	has := func(line []byte, field string) bool { return bytes.Contains(line, []byte(field)) }
	err = walk(ctx, file, func(line []byte, _ bool) {
		if has(line, `"kind":"alarm"`) {
			t.Alarms++
		}
		switch {
		case has(line, `"message":"sidecar ready"`) && has(line, `"kind":"lifecycle"`):
			before = t
		case has(line, `"message":"`+AgentStarted+`"`) && has(line, `"kind":"lifecycle"`):
			t.Requests, t.Refused, last = before.Requests, before.Refused, nil
		}
		if !has(line, `"verdict":"`) || has(line, `"kind":"proposal"`) {
			return
		}
		last = append(last[:0], line...)
		if has(line, `"kind":"request"`) || has(line, `"kind":"connect"`) {
			t.Requests++
			if has(line, `"verdict":"deny"`) {
				t.Refused++
			}
		}
	})
	if err != nil {
		return t, fmt.Errorf("cannot read the audit log: %w", err)
	}
	if rest, ok := bytes.CutPrefix(last, []byte(`{"time":"`)); ok {
		text, _, _ := bytes.Cut(rest, []byte(`"`))
		t.Last, _ = time.Parse(time.RFC3339Nano, string(text)) // zero where it cannot be read
	}
	return t, nil
}
