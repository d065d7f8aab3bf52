package sidecar

import (
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

const (
	// quiet is how long an alarm is not told again: a conversation sends all of itself each time.
	quiet     = time.Minute
	maxAlarms = 4096 // that are kept apart
)

// alarms tells the log what was found, each thing once in a while.
type alarms struct {
	sink audit.Sink
	now  func() time.Time

	mu   sync.Mutex // guards told
	told map[alarmed]time.Time
}

type alarmed struct{ kind, host, message, rule, fingerprint string }

func newAlarms(sink audit.Sink) *alarms {
	return &alarms{sink: sink, now: time.Now, told: map[alarmed]time.Time{}}
}

func (a *alarms) alarm(head *egress.Head, message string, f dlp.Finding) {
	a.record("alarm", head, message, f)
}

func (a *alarms) note(head *egress.Head, message string, f dlp.Finding) {
	a.record("note", head, message, f)
}

func (a *alarms) record(kind string, head *egress.Head, message string, f dlp.Finding) {
	if a.again(alarmed{kind, head.Host, message, f.Rule, f.Fingerprint}) {
		return
	}
	e := audit.Event{Kind: kind, Layer: "dlp", Host: head.Host, Port: head.Port, Rule: f.Rule, Message: message}
	if f.Fingerprint != "" {
		e.Reason = "fingerprint " + f.Fingerprint
	}
	a.sink.Record(e)
}

func (a *alarms) again(what alarmed) bool {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.told[what]; ok && now.Sub(last) < quiet {
		return true
	}
	if len(a.told) >= maxAlarms {
		clear(a.told)
	}
	a.told[what] = now
	return false
}

// redacted tells what was replaced. That of a canary is the same alarm as its refusal.
func (x *inspection) redacted(f dlp.Finding) {
	if f.Rule == "canary" {
		x.alarms.alarm(x.head, "the canary was sent in "+f.Place, f)
	}
	x.alarms.alarm(x.head, "redacted in "+f.Place, f)
}

// stripped looks at what was taken off the request: a placeholder or the canary in there did not
// leave, but shows that it was tried.
func (x *inspection) stripped(fields egress.Header) {
	if x.owned() {
		return
	}
	for _, f := range fields {
		for _, p := range x.placeholders {
			if strings.Contains(f.Value, p) {
				x.alarms.alarm(x.head, "the provider's placeholder was sent to another host in "+f.Name, dlp.Finding{Rule: "canary"})
			}
		}
		for _, found := range x.engine.Scan([]byte(f.Value), "a credential of the agent's own", dlp.Detectors{Known: true}) {
			if found.Rule == "canary" {
				x.alarms.alarm(x.head, "the canary was sent in "+f.Name, found)
			}
		}
	}
}
