package sidecar

import (
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

type nowhere struct{}

func (nowhere) Record(audit.Event) {}

// BenchmarkHead is what an ordinary request's head costs, on a provider's route and on another.
func BenchmarkHead(b *testing.B) {
	tokens, err := NewTokens([]string{"T"}, map[string]string{"T": "q8Zr4mXw9dKt7bLc2vNs5hJg"})
	if err != nil {
		b.Fatal(err)
	}
	guarded, err := NewTokens(nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, owner := range []string{"", "claude"} {
		b.Run("owner "+owner, func(b *testing.B) {
			i := newInspectors(tokens, guarded, []string{"a-placeholder-that-is-none"}, nowhere{})
			i.engine.Load().Warm()
			route := &policy.Route{Host: "api.example.org", Owner: owner}
			b.ReportAllocs()
			for b.Loop() {
				x := i.Inspect(egress.Exchange{Route: route})
				head := &egress.Head{
					Method: "POST", Host: "api.example.org", Port: 443, Path: "/v1/messages", Query: "beta=true", HasQuery: true,
					Header: egress.Header{
						{Name: "Accept", Value: "application/json"}, {Name: "Content-Type", Value: "application/json"},
						{Name: "User-Agent", Value: "claude-cli/2.0.1 (external, cli)"}, {Name: "anthropic-version", Value: "2023-06-01"},
						{Name: "anthropic-beta", Value: "claude-code-20250219,interleaved-thinking-2025-05-14"},
						{Name: "x-stainless-lang", Value: "js"}, {Name: "x-stainless-package-version", Value: "0.60.0"}, {Name: "Accept-Encoding", Value: "gzip, br"},
					},
				}
				if err := x.Request(b.Context(), head); err != nil {
					b.Fatal(err)
				}
				x.Close()
			}
		})
	}
}
