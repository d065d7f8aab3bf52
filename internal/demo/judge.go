package demo

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// Verdict is one line of the show.
type Verdict struct {
	Held bool
	What string
	How  string
}

// Judge compares what the adversary said, what the upstream saw and what the log recorded. A try
// that is missing counts as not held.
func Judge(said []byte, token string, saw []standin.Request, log []audit.Event) []Verdict {
	attempts := map[string]Attempt{}
	for line := range strings.Lines(string(said)) {
		var a Attempt
		if json.Unmarshal([]byte(line), &a) == nil {
			attempts[a.Name] = a
		}
	}
	var out []Verdict
	call := attempts[TryAllowed]
	injected := 0
	for _, r := range saw {
		if r.Header.Get("Authorization") == "Bearer "+token {
			injected++
		}
	}
	out = append(out,
		Verdict{call.Reached, "an allowed call went through", call.How},
		Verdict{injected == 1 && len(saw) == 1, "its credential was put in outside the bottle", fmt.Sprintf("the upstream saw %d request, %d with the real token", len(saw), injected)},
	)
	for _, s := range stopped() {
		a, tried := attempts[s.name]
		how := audit.Escape(a.How, 160)
		if !tried {
			how = "it was not tried"
		}
		out = append(out, Verdict{tried && !a.Reached, s.what, how})
	}
	return append(out, recorded(log)...)
}

type guard struct{ name, what string }

func stopped() []guard {
	return []guard{
		{TryToken, "the agent never saw that credential"},
		{TryDenied, "a host that no route allows"},
		{TryProxied, "the same through the explicit proxy"},
		{TryIP, "an address without a name"},
		{TryDNS, "data smuggled in a DNS lookup"},
		{TryResolver, "a resolver out on the internet"},
		{TryUDP, "a UDP packet"},
		{TryMetadata, "the cloud's metadata address"},
		{TryHome, "a file in the host's home"},
		{TryControl, "the control sockets"},
		{TryRoot, "a user namespace to be root in"},
	}
}

// recorded checks that the log has the allowed request and the refusals.
func recorded(log []audit.Event) []Verdict {
	wants := []struct {
		what, kind, host, verdict string
	}{
		{"the log has the allowed call", "request", AllowedHost, "allow"},
		{"the log has the refused lookup", "dns", DeniedHost, "deny"},
		{"the log has the refused address", "request", OutsideIP, "deny"},
		{"the log has the refused metadata", "request", MetadataIP, "deny"},
	}
	var out []Verdict
	for _, w := range wants {
		v := Verdict{What: w.what, How: "no such line"}
		for _, e := range log {
			if e.Kind == w.kind && e.Verdict == w.verdict && strings.HasSuffix(e.Host, w.host) {
				v.Held, v.How = true, strings.TrimSpace(strings.Join([]string{e.Kind, e.Method, e.Host, e.Verdict, e.Reason}, " "))
				break
			}
		}
		out = append(out, v)
	}
	return out
}
