package manifest

import "github.com/bot-bottle/bot-bottle/internal/fault"

// Selection is an agent with the bottle that it will run in.
type Selection struct {
	Agent  *Agent  `json:"agent"`
	Bottle *Bottle `json:"bottle"`
	// User is the identity of commits: the agent's over the bottle's, field by field.
	User      GitUser `json:"user"`
	NameFrom  string  `json:"name_from,omitempty"`  // "agent" | "bottle" | ""
	EmailFrom string  `json:"email_from,omitempty"` // "agent" | "bottle" | ""
}

// Select reads an agent and its bottle. bottles, where given, take the place of the one that the
// agent names and are folded in order. What is wrong with the agent's file or the chain of
// bottles is Problems in an error of kind fault.Invalid.
func (l *Library) Select(agent string, bottles ...string) (*Selection, error) {
	if _, err := l.Entry(KindAgent, agent); err != nil {
		return nil, err
	}
	f := l.agent(agent)
	problems := append([]Problem{}, f.report.problems...)
	if len(bottles) == 0 {
		problems = append(problems, l.bottleOf(f)...)
		problems = append(problems, l.chainProblems(f.agent.Bottle, map[string]bool{})...)
		bottles = []string{f.agent.Bottle}
	}
	if len(problems) > 0 {
		sortProblems(problems)
		return nil, invalid(KindAgent, agent, problems)
	}
	b, err := l.Bottle(bottles...)
	if err != nil {
		return nil, err
	}
	s := &Selection{Agent: f.agent, Bottle: b}
	s.User.Name, s.NameFrom = overlay(f.agent.User.Name, b.Git.User.Name)
	s.User.Email, s.EmailFrom = overlay(f.agent.User.Email, b.Git.User.Email)
	return s, nil
}

func overlay(agent, bottle string) (value, from string) {
	switch {
	case agent != "":
		return agent, "agent"
	case bottle != "":
		return bottle, "bottle"
	}
	return "", ""
}

// bottleOf says where an agent names a bottle that does not exist.
func (l *Library) bottleOf(f *agentFile) []Problem {
	at := f.agent.bottleAt
	if at == nil {
		return nil // the shape has said so
	}
	if _, err := l.Entry(KindBottle, f.agent.Bottle); !fault.Is(err, fault.NotFound) {
		return nil
	}
	return []Problem{{File: f.report.file, Line: at.line, Column: at.column, Field: at.field,
		Message: "there is no bottle " + shown(f.agent.Bottle), Hint: l.whichBottles(f.agent.Bottle)}}
}
