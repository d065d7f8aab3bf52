package sidecar

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// maxRefused is how many values are remembered for a later question.
const maxRefused = 256

// refusals are the values that the scanner held back last, so that the agent can ask for one of
// them and for nothing that was never seen.
type refusals struct {
	mu   sync.Mutex // guards last
	last []approval
}

func (r *refusals) add(host string, found []dlp.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range found {
		one := approval{host, f.Rule, f.Fingerprint}
		if f.Fingerprint == "" || certain(f) || slices.Contains(r.last, one) {
			continue
		}
		if len(r.last) >= maxRefused {
			r.last = r.last[1:]
		}
		r.last = append(r.last, one)
	}
}

// find returns what was held back with a fingerprint on its way to a host, by whatever rule.
func (r *refusals) find(fingerprint, host string) (candidate json.RawMessage, rules string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []approval
	var names []string
	for _, one := range r.last {
		if one.Fingerprint == fingerprint && one.Host == host {
			all, names = append(all, one), append(names, one.Rule)
		}
	}
	if len(all) == 0 {
		return nil, "", fault.New(fault.NotFound, "cannot ask: no request to %q was refused for a value with the fingerprint %q", host, fingerprint)
	}
	candidate, err = json.Marshal(all)
	return candidate, strings.Join(names, ", "), err
}

// maxPushes is how many refused pushes are remembered for a later question.
const maxPushes = 32

// pushes are the questions about pushes that were not approved.
type pushes struct {
	mu   sync.Mutex // guards last
	last []ask.Question
}

func (h *pushes) add(q ask.Question) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.last) >= maxPushes {
		h.last = h.last[1:]
	}
	h.last = append(h.last, q)
}

// find returns the last question about a push with a finding of that fingerprint.
func (h *pushes) find(fingerprint string) (ask.Question, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if word, err := json.Marshal(fingerprint); err == nil && len(fingerprint) >= 8 {
		for _, q := range slices.Backward(h.last) {
			if bytes.Contains(q.Candidate, word) {
				return q, nil
			}
		}
	}
	return ask.Question{}, fault.New(fault.NotFound, "cannot ask: no push was refused for a finding with the fingerprint %q", fingerprint)
}
