package sidecar

import (
	"encoding/json"
	"fmt"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// bottleView is what the supervise tools see of the rest of the sidecar.
type bottleView struct{ p *process }

// Routes implements supervise.Bottle.
func (v bottleView) Routes() any { return v.p.egress.Load().Allowlist() }

// Complete implements supervise.Bottle.
func (v bottleView) Complete(route policy.Route) (policy.Route, error) {
	return v.p.egress.Load().Rules().Completed(route)
}

// InForce implements supervise.Bottle.
func (v bottleView) InForce(route policy.Route) bool { return v.p.egress.Load().Rules().Has(route) }

// Missing implements supervise.Bottle.
func (v bottleView) Missing(q policy.Request) (policy.Route, bool, error) {
	rules := v.p.egress.Load().Rules()
	d := rules.Decide(q)
	if d.Allow {
		return policy.Route{}, true, nil
	}
	route, ok := rules.Missing(q)
	if !d.Approvable || !ok {
		return policy.Route{}, false, fault.New(fault.Denied, "cannot ask for this: %s. %s", d.Reason, d.Guidance)
	}
	return route, false, nil
}

// HeldValue implements supervise.Bottle.
func (v bottleView) HeldValue(fingerprint, host string) (json.RawMessage, string, error) {
	canonical, err := policy.CanonicalHost(host)
	if err != nil {
		return nil, "", err
	}
	candidate, rule, err := v.p.inspectors.refused.find(fingerprint, canonical)
	if err != nil {
		return nil, "", err
	}
	return candidate, fmt.Sprintf("let a value pass to %s that %s finds", canonical, rule), nil
}

// HeldPush implements supervise.Bottle.
func (v bottleView) HeldPush(fingerprint string) (ask.Question, error) {
	return v.p.pushes.find(fingerprint)
}
