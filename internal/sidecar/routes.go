package sidecar

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// live orders the changes of the policy.
type live struct {
	mu      sync.Mutex // one change at a time, from what it is based on to its being in force
	changes uint64     // made so far
}

// revision of the policy in force; the first is 1, so that nobody names one by forgetting to.
func (l *live) revision() uint64 {
	return l.changes + 1
}

func (p *process) routes(context.Context, []byte) (any, error) {
	p.live.mu.Lock()
	defer p.live.mu.Unlock()
	proxy := p.egress.Load()
	if proxy == nil {
		return nil, notConfigured()
	}
	return control.Live{Revision: p.live.revision(), Egress: proxy.Rules().Set()}, nil
}

func (p *process) setRoutes(_ context.Context, params []byte) (any, error) {
	var next control.Live
	if err := control.Decode(params, &next); err != nil {
		return nil, err
	}
	var removed []policy.Route
	now, err := p.amend("the operator", func(now control.Live) (policy.Set, error) {
		if next.Revision != now.Revision {
			return policy.Set{}, fault.WithHint(fault.New(fault.Busy, "the routes have changed meanwhile: they are at revision %d, not %d", now.Revision, next.Revision),
				"look at the routes again, then make the change")
		}
		removed = policy.Compare(now.Egress, next.Egress).Removed
		return next.Egress, nil
	})
	if err != nil {
		return nil, err
	}
	if err := p.revoke(removed); err != nil {
		return nil, fault.WithHint(fmt.Errorf("the routes are removed, and a resume would bring back what was approved of them: %w", err), "look at the disk")
	}
	p.desk.Load().Changed()
	return now, nil
}

// revoke ends the approvals that routes came from, beyond this process.
func (p *process) revoke(removed []policy.Route) error {
	if len(removed) == 0 {
		return nil
	}
	return p.desk.Load().Revoke(func(kind ask.Kind, candidate json.RawMessage) bool {
		if kind != ask.Route {
			return false
		}
		route, err := decodeRoute(candidate)
		return err == nil && slices.ContainsFunc(removed, func(r policy.Route) bool { return policy.Same(r, route) })
	})
}

// amend replaces the policy by what edit makes of the one in force, or keeps it whole. No other
// change comes between; edit must not wait for anything. by says whose change it is, for the log.
func (p *process) amend(by string, edit func(control.Live) (policy.Set, error)) (control.Live, error) {
	proxy := p.egress.Load()
	if proxy == nil {
		return control.Live{}, notConfigured()
	}
	changed, now, err := p.replace(edit)
	if err != nil {
		p.counted.Record(audit.Event{Kind: "lifecycle", Verdict: "deny", Message: "routes kept as they were", Reason: err.Error()})
		kind := fault.KindOf(err)
		if kind == fault.Internal {
			kind = fault.Invalid
		}
		return control.Live{}, fault.WithHint(fault.New(kind, "cannot change the routes: %w", err), "%s", fault.HintOf(err))
	}
	p.counted.Record(audit.Event{
		Kind: "lifecycle", Message: fmt.Sprintf("routes changed by %s, now %d at revision %d", by, len(now.Egress.Routes), now.Revision),
		Before: described(changed.Removed), After: described(changed.Added),
	})
	return now, nil
}

func (p *process) replace(edit func(control.Live) (policy.Set, error)) (policy.Difference, control.Live, error) {
	p.live.mu.Lock()
	defer p.live.mu.Unlock()
	proxy := p.egress.Load()
	now := control.Live{Revision: p.live.revision(), Egress: proxy.Rules().Set()}
	set, err := edit(now)
	if err == nil {
		err = policy.CheckChange(now.Egress, set)
	}
	if err == nil {
		err = fault.WithHint(p.tokens.covers(set), "a running bottle gets no credential that it did not start with: put the route into its file, and start it again")
	}
	if err == nil {
		err = proxy.SetPolicy(set)
	}
	if err != nil {
		return policy.Difference{}, now, err
	}
	p.live.changes++
	changed := policy.Compare(now.Egress, set)
	return changed, control.Live{Revision: p.live.revision(), Egress: set}, nil
}

func described(routes []policy.Route) []string {
	var out []string
	for _, r := range routes {
		out = append(out, policy.Describe(r))
	}
	return out
}
