//go:build linux

package gate

import (
	"io"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
)

// scanner joins the gate and the engine of the sidecar's own scans: the same rules, decoders and
// known secrets.
type scanner struct {
	engine *dlp.Engine
}

// NewScanner knows the given secrets.
func NewScanner(known map[string]secret.String, canaries []string) gitgate.Scanner {
	var all []dlp.Known
	for name, value := range known {
		all = append(all, dlp.Known{Name: name, Value: value})
	}
	for _, c := range canaries {
		all = append(all, dlp.Known{Name: "placeholder", Value: secret.New(c), Canary: true})
	}
	return &scanner{dlp.New(all)}
}

// Scan implements gitgate.Scanner.
func (s *scanner) Scan(r io.Reader) ([]gitgate.Finding, error) {
	stream := s.engine.Stream("", dlp.Detectors{Patterns: true, Known: true})
	if _, err := io.Copy(writer{stream}, r); err != nil {
		stream.Abort()
		return nil, err
	}
	var found []gitgate.Finding
	for _, f := range stream.Close() {
		found = append(found, gitgate.Finding{
			Rule: f.Rule, Steps: f.Steps, Offset: f.Offset, Fingerprint: f.Fingerprint,
			Known: f.Rule == "canary" || strings.HasPrefix(f.Rule, "known-secret:"), // no operator can let it pass
		})
	}
	return found, nil
}

// writer feeds a stream.
type writer struct{ *dlp.Stream }

func (w writer) Write(p []byte) (int, error) {
	w.Stream.Write(p)
	return len(p), nil
}
