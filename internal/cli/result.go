package cli

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// maxOutput is how much of what an agent says a result holds.
const maxOutput = 4 << 20

// result is what a headless run with --json prints, and nothing else is printed on stdout then.
type result struct {
	Identity string    `json:"identity"`
	Agent    string    `json:"agent"`
	Provider string    `json:"provider"`
	Label    string    `json:"label,omitempty"`
	ExitCode int       `json:"exit_code"` // of the process: the agent's, 125 or 130
	Duration float64   `json:"duration_seconds"`
	Kept     bool      `json:"kept"`
	Why      string    `json:"why,omitempty"` // it was kept
	Output   string    `json:"output"`        // what the agent wrote to its stdout
	Cut      bool      `json:"output_cut"`    // there was more
	Refused  []refusal `json:"refused"`
	Error    string    `json:"error,omitempty"`
	Hint     string    `json:"hint,omitempty"`

	began, ran time.Time
	said       bytes.Buffer
}

// refusal is what the sidecar refused while the agent ran, once for each kind.
type refusal struct {
	Host   string `json:"host"`
	Port   uint16 `json:"port,omitempty"`
	Layer  string `json:"layer"`
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"`
	Count  int    `json:"count"`
}

func newResult(p *plan.Plan) *result {
	return &result{Identity: string(p.ID), Agent: p.Agent, Provider: p.Provider, Label: p.Label, Refused: []refusal{}, began: time.Now()}
}

// output takes the agent's stdout from now on.
func (r *result) output() io.Writer {
	r.ran = time.Now()
	return r
}

// Write implements io.Writer. It keeps what there is room for and takes all.
func (r *result) Write(p []byte) (int, error) {
	room := maxOutput - r.said.Len()
	r.Cut = r.Cut || room < len(p)
	r.said.Write(p[:min(room, len(p))])
	return len(p), nil
}

// read takes the refusals from the log, which may be gone with a run that ended well.
func (r *result) read(ctx context.Context, log string) {
	if r.ran.IsZero() {
		return // what the self-check tried was to be refused
	}
	seen := map[refusal]int{}
	for e, err := range audit.Read(ctx, log, audit.Filter{Verdict: "deny", Since: r.ran}, false) {
		if err != nil {
			break // what can be read is told
		}
		seen[refusal{Host: e.Host, Port: e.Port, Layer: e.Layer, Rule: e.Rule, Reason: e.Reason}]++
	}
	for one, count := range seen {
		one.Count = count
		r.Refused = append(r.Refused, one)
	}
	slices.SortFunc(r.Refused, func(a, b refusal) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Reason, b.Reason))
	})
}

// end completes the result.
func (r *result) end(out bottle.Outcome, err error) {
	r.Duration = time.Since(r.began).Seconds()
	r.ExitCode, r.Kept, r.Why, r.Output = out.Exit.Code, out.Kept, out.Why, r.said.String()
	if err == nil {
		return
	}
	r.Error, r.Hint, r.ExitCode = err.Error(), fault.HintOf(err), ownFailure
	if fault.Is(err, fault.Canceled) {
		r.ExitCode = fault.ExitCode(err)
	}
}
