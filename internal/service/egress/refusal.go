package egress

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Refusal is the body of every answer that the proxy makes itself in place of the upstream.
type Refusal struct {
	Error       string   `json:"error"` // "denied", "misdirected", "malformed" or "upstream"
	Layer       string   `json:"layer"`
	Host        string   `json:"host"`
	Port        uint16   `json:"port"`
	Method      string   `json:"method"`
	Path        string   `json:"path"`
	Reason      string   `json:"reason"`
	RuleMissing string   `json:"rule_missing"`
	Guidance    string   `json:"guidance"`
	NextSteps   []string `json:"next_steps"`
	// Cause is the class of a failure towards the upstream: "resolve", "connect", "tls",
	// "proxy", "protocol" or "timeout".
	Cause string `json:"cause,omitempty"`
	// Approvable says whether asking the operator for a route can help.
	Approvable bool `json:"approvable"`

	private bool // as Blocked.Private
}

// response renders the refusal. It is not for caches, and the connection stays usable.
func (r *Refusal) response(status int) *response {
	if r.NextSteps == nil {
		r.NextSteps = []string{}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil { // strings and numbers always encode
		body.Reset()
	}
	return &response{
		status: status,
		header: Header{
			{"Content-Type", "application/json"},
			{"Cache-Control", "no-store"},
			{"X-Bot-Bottle", "refused; layer=" + r.Layer},
		},
		length: int64(body.Len()),
		body:   io.NopCloser(&body),
	}
}

// stepTool is policy.StepAsk for an agent that has the supervise tools.
const stepTool = `call the tool egress-block of the MCP server "supervise" with this URL and method, and say why you need it: its operator decides`

// refusalOf is a refusal as the agent reads it, with the step that there is in this bottle.
func (s *Server) refusalOf(d policy.Decision) *Refusal {
	steps := slices.Clone(d.NextSteps)
	if i := slices.Index(steps, policy.StepAsk); i >= 0 && s.deps.Ask != nil {
		steps[i] = stepTool
	}
	return &Refusal{
		Error: "denied", Layer: d.Layer, Reason: d.Reason, RuleMissing: d.RuleMissing,
		Guidance: d.Guidance, NextSteps: steps, Approvable: d.Approvable,
	}
}

func misdirected(reason string) *Refusal {
	return &Refusal{
		Error: "misdirected", Layer: policy.LayerProtocol, Reason: reason, RuleMissing: "none: no route can allow it",
		Guidance:  "The connection and the request name different hosts. Connect to the host by its name, and send the same name in SNI and in Host.",
		NextSteps: []string{"open a connection to the host that the request is for"},
	}
}

func malformed(reason string) *Refusal {
	return &Refusal{
		Error: "malformed", Layer: policy.LayerProtocol, Reason: reason, RuleMissing: "none: no route can allow it",
		Guidance:  "Two servers could read this request differently, so it is not passed on.",
		NextSteps: []string{"send the request in the plain form of RFC 9112"},
	}
}

func upstreamFailed(cause *causeError) *Refusal {
	return &Refusal{
		Error: "upstream", Layer: "upstream", Reason: cause.Error(), Cause: cause.class, RuleMissing: "",
		Guidance:  "The request is allowed, but the upstream could not be reached or did not answer properly.",
		NextSteps: []string{"try again later", "if it goes on, tell the operator the reason above"},
	}
}

func uncredentialed(ref, reason string) *Refusal {
	return &Refusal{
		Error: "denied", Layer: "credentials", Reason: reason, RuleMissing: "the value of " + ref,
		Guidance:  "The route puts a credential in, and it cannot be put in now. The request is never forwarded without it.",
		NextSteps: []string{"tell the operator that " + ref + " is not usable"},
	}
}

func blockedRefusal(b *Blocked) *Refusal {
	layer := b.Layer
	if layer == "" {
		layer = "dlp"
	}
	return &Refusal{
		Error: "denied", Layer: layer, Reason: b.Reason, RuleMissing: b.Rule,
		Guidance: b.Guidance, NextSteps: b.NextSteps, Approvable: b.Approvable, private: b.Private,
	}
}

// shown bounds and escapes what an answer or the log repeats of the agent's bytes.
func shown(s string) string {
	if len(s) > 512 {
		s = s[:512] + "…"
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f || !utf8.ValidString(s) {
			quoted := strconv.QuoteToASCII(s)
			return quoted[1 : len(quoted)-1]
		}
	}
	return s
}
