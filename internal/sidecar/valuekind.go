package sidecar

import (
	"encoding/json"
	"fmt"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// valueKind judges and applies approvals of held values: each is one fingerprint, found by one
// rule, to one host.
type valueKind struct{ i *inspectors }

// Effect implements desk.Kind.
func (valueKind) Effect(candidate json.RawMessage) ([]ask.Fact, error) {
	asked, err := decodeApprovals(candidate)
	if err != nil {
		return nil, err
	}
	var effect []ask.Fact
	for _, one := range asked {
		effect = append(effect, ask.Fact{
			Name:  "lets pass",
			Value: fmt.Sprintf("the value with fingerprint %s, found by %s, to %s", one.Fingerprint, one.Rule, one.Host),
		})
	}
	return effect, nil
}

// Apply implements desk.Kind.
func (k valueKind) Apply(candidate json.RawMessage) error {
	asked, err := decodeApprovals(candidate)
	if err != nil {
		return err
	}
	k.i.approved.add(asked)
	return nil
}

func decodeApprovals(candidate json.RawMessage) ([]approval, error) {
	var asked []approval
	if err := control.Decode(candidate, &asked); err != nil {
		return nil, fmt.Errorf("cannot read the candidate: %w", err)
	}
	if len(asked) == 0 {
		return nil, fault.New(fault.Invalid, "cannot use the candidate: it names no value")
	}
	for _, one := range asked {
		if one.Host == "" || one.Rule == "" || len(one.Fingerprint) != 16 {
			return nil, fault.New(fault.Invalid, "cannot use the candidate: a value needs a host, a rule and a fingerprint")
		}
		if certain(dlp.Finding{Rule: one.Rule}) {
			return nil, fault.New(fault.Denied, "cannot let pass what %s finds", one.Rule)
		}
	}
	return asked, nil
}
