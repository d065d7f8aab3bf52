package tui

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

func question(t *testing.T, kind ask.Kind, candidate any) view.Question {
	t.Helper()
	raw, err := json.Marshal(candidate)
	if err != nil {
		t.Fatal(err)
	}
	return view.Question{Proposal: ask.Proposal{ID: "a-00000/1", Digest: "d", State: ask.Pending, Question: ask.Question{Kind: kind, Candidate: raw}}}
}

// What a person saves without a change is the candidate again, byte for byte.
func TestACandidateSurvivesItsEditor(t *testing.T) {
	for name, q := range map[string]view.Question{
		"a route":      question(t, ask.Route, map[string]any{"host": "a.example", "ports": []int{443}}),
		"a Dockerfile": question(t, ask.Capability, ask.CapabilityChange{Dockerfile: "FROM x\nRUN echo \"<&>\"\n"}),
		"packages":     question(t, ask.Capability, ask.CapabilityChange{Packages: []ask.Package{{Manager: "npm", Name: "left-pad"}, {Manager: "pip", Name: "black"}}}),
	} {
		text, _ := new(model).editText(q)
		got, err := editedCandidate(q, text)
		if err != nil || string(got) != string(q.Candidate) {
			t.Errorf("%s: %s, %v, want %s", name, got, err, q.Candidate)
		}
	}
	packages := question(t, ask.Capability, ask.CapabilityChange{Packages: []ask.Package{{Manager: "npm", Name: "left-pad"}}})
	for _, text := range []string{"npm\n", "npm left-pad extra\n", "npm --option\n", "brew jq\n", ""} {
		if got, err := editedCandidate(packages, []byte(text)); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// Nothing that an approval would change is left out, however long it is.
func TestWhatChangesIsShownWhole(t *testing.T) {
	lines := make([]string, 5000)
	for i := range lines {
		lines[i] = "+ RUN true"
	}
	lines[4321] = "+ RUN hidden"
	m := &model{width: 80, height: 24}
	m.dialog = &dialog{
		question: question(t, ask.Capability, ask.CapabilityChange{}), verdict: ask.Approved, scope: ask.Run, ready: true,
		effect: []ask.Fact{{Name: "change", Value: strings.Join(lines, "\n")}},
	}
	found := false
	for _, l := range m.dialogLines() {
		found = found || strings.Contains(l.text, "RUN hidden")
	}
	if !found {
		t.Error("a line of the change is not shown")
	}
	_ = m.screen()
	if m.dialog.read {
		t.Error("it can be approved unread")
	}
}
