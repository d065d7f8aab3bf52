package tui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

// editing is a candidate that the person is working on: what they wrote stays when it was wrong.
type editing struct {
	of   string // the proposal, as it was seen
	text []byte
}

// startEdit opens the candidate of a question in the person's editor.
func (m *model) startEdit(q view.Question) tea.Cmd {
	if m.Editor == nil || q.Kind != ask.Route && q.Kind != ask.Capability {
		m.say(true, "what %s asks for cannot be edited, only approved or rejected", q.ID)
		return nil
	}
	text, name := m.editText(q)
	file, err := os.CreateTemp("", name)
	if err == nil {
		_, err = file.Write(text)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		m.say(true, "cannot edit %s: %v", q.ID, err)
		return nil
	}
	name = file.Name()
	return tea.ExecProcess(m.Editor(name), func(err error) tea.Msg {
		text, rerr := os.ReadFile(name)
		return editedMsg{q, text, errors.Join(err, rerr, os.Remove(name))}
	})
}

// editText is a candidate in the form in which a person edits it, and a pattern for the name of its
// file: a route as JSON, a Dockerfile as itself, packages one a line.
func (m *model) editText(q view.Question) (text []byte, name string) {
	name = "bot-bottle-*.json"
	var c ask.CapabilityChange
	if q.Kind == ask.Capability && json.Unmarshal(q.Candidate, &c) == nil {
		name, text = "bot-bottle-*.Dockerfile", []byte(c.Dockerfile)
		if c.Dockerfile == "" {
			name = "bot-bottle-*.packages"
			for _, p := range c.Packages {
				text = fmt.Appendf(text, "%s %s\n", p.Manager, p.Name)
			}
		}
	} else {
		var out bytes.Buffer
		if json.Indent(&out, q.Candidate, "", "  ") != nil {
			return q.Candidate, name
		}
		text = append(out.Bytes(), '\n')
	}
	if m.edit != nil && m.edit.of == q.ID+q.Digest {
		text = m.edit.text
	}
	return text, name
}

// editedCandidate is a candidate again, compact.
func editedCandidate(q view.Question, text []byte) ([]byte, error) {
	var was ask.CapabilityChange
	if q.Kind != ask.Capability || json.Unmarshal(q.Candidate, &was) != nil {
		var out bytes.Buffer
		if err := json.Compact(&out, text); err != nil {
			return nil, fmt.Errorf("that is no JSON: %w", err)
		}
		return out.Bytes(), nil
	}
	var now ask.CapabilityChange
	if was.Dockerfile != "" {
		now.Dockerfile = string(text)
	} else {
		for l := range strings.Lines(string(text)) {
			words := strings.Fields(l)
			if len(words) == 0 {
				continue
			}
			if len(words) != 2 {
				return nil, fmt.Errorf("%q is no manager and a package", view.Safe(strings.TrimSpace(l), 80))
			}
			now.Packages = append(now.Packages, ask.Package{Manager: words[0], Name: words[1]})
		}
	}
	if err := now.Check(); err != nil {
		return nil, err
	}
	return json.Marshal(now)
}

// edited takes what the person wrote and shows what it would do.
func (m *model) edited(msg editedMsg) tea.Cmd {
	if msg.err != nil {
		m.say(true, "nothing was decided: %v", msg.err)
		return nil
	}
	q, ok := m.question(msg.question.ID)
	if !ok || !q.State.Open() || q.Digest != msg.question.Digest {
		m.say(true, "%s is not what you edited any more; nothing was decided", msg.question.ID)
		return nil
	}
	m.edit = &editing{q.ID + q.Digest, msg.text}
	now, err := editedCandidate(q, msg.text)
	if err != nil {
		m.say(true, "%v; e goes on with it", err)
		return nil
	}
	if bytes.Equal(q.Candidate, now) {
		m.edit = nil
		m.say(false, "nothing was changed, and nothing decided")
		return nil
	}
	scope := ask.Once
	if len(q.Scopes) > 0 {
		scope = q.Scopes[0]
	}
	return m.open(&dialog{question: msg.question, verdict: ask.Approved, scope: scope, candidate: now})
}
