package egress

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// budget is how many bytes may go one way in the life of this sidecar.
type budget struct {
	limit int64 // 0: no bound
	name  string
	used  atomic.Int64
}

// spend takes n bytes off, or says that they are not to be passed on.
func (b *budget) spend(n int) error {
	if b.limit == 0 || n == 0 || b.used.Add(int64(n)) <= b.limit {
		return nil
	}
	b.used.Store(b.limit) // nothing is left, whatever is tried next
	return b.spent()
}

// over reports whether nothing is left.
func (b *budget) over() bool { return b.limit > 0 && b.used.Load() >= b.limit }

func (b *budget) spent() *Blocked {
	return &Blocked{
		Layer: policy.LayerLimit, Rule: "egress.limits." + b.name,
		Reason:    fmt.Sprintf("the bottle has used up its %s bytes (%s)", strconv.FormatInt(b.limit, 10), b.name),
		Guidance:  "This bottle may carry only so many bytes in one run. Do not retry; nothing more goes this way.",
		NextSteps: []string{"finish what can be finished without the network", "tell the operator that egress.limits." + b.name + " is used up"},
	}
}

// meter counts what is read, for its exchange and against the bottle's budget. Bytes that the
// budget does not cover are never yielded.
type meter struct {
	io.Reader
	n      *atomic.Int64 // may be nil
	budget *budget
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if spent := m.budget.spend(n); spent != nil {
		return 0, spent
	}
	if m.n != nil {
		m.n.Add(int64(n))
	}
	return n, err
}

// headSize is about what a head takes on the wire.
func headSize(start int, h Header) int {
	n := start
	for i := range h {
		n += len(h[i].Name) + len(h[i].Value) + 4
	}
	return n
}

// limited is the refusal of whoever meets a limit.
func limited(name, reason string) *Refusal {
	return &Refusal{
		Error: "denied", Layer: policy.LayerLimit, Reason: reason, RuleMissing: "egress.limits." + name,
		Guidance:  "One bottle may use only so much of the way out. Slow down, or do less at once.",
		NextSteps: []string{"wait for what is still open to end, then try again", "if the task needs more, tell the operator which limit was met"},
	}
}

// begin admits one more request, or says which limit stands against it. The caller calls end
// where there is no refusal.
func (s *Server) begin() (end func(), status int, refusal *Refusal) {
	if n := s.open.Add(1); n > int64(s.limits.Requests) {
		s.open.Add(-1)
		return nil, 503, limited("requests", fmt.Sprintf("the bottle has %d requests open at once, which is its limit", s.limits.Requests))
	}
	for _, b := range []*budget{&s.sent, &s.received} {
		if b.over() {
			s.open.Add(-1)
			return nil, 403, blockedRefusal(b.spent())
		}
	}
	return func() { s.open.Add(-1) }, 0, nil
}

// bounded ends a request or tunnel that takes too long in all. stuck is called then, so that
// what waits for the agent is given up.
func (s *Server) bounded(ctx context.Context, stuck func()) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Total)
	stop := context.AfterFunc(ctx, func() {
		if ctx.Err() == context.DeadlineExceeded {
			stuck()
		}
	})
	return ctx, func() {
		stop()
		cancel()
	}
}

// overdue reports whether an exchange has used up its time.
func (x *exchange) overdue() bool { return x.late != nil && x.late() }

func tooLong(s *Server) *Refusal {
	return limited("total", fmt.Sprintf("it took longer than %s in all", s.limits.Total))
}
