package tui

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"

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
	if len(q.Candidate) == 0 || m.Editor == nil {
		m.say(true, "there is nothing to edit in %s", q.ID)
		return nil
	}
	text := m.editText(q)
	file, err := os.CreateTemp("", "bot-bottle-*.json")
	if err == nil {
		_, err = file.Write(text)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		m.say(true, "cannot edit %s: %v", q.ID, err)
		return nil
	}
	name := file.Name()
	return tea.ExecProcess(m.Editor(name), func(err error) tea.Msg {
		text, rerr := os.ReadFile(name)
		return editedMsg{q, text, errors.Join(err, rerr, os.Remove(name))}
	})
}

func (m *model) editText(q view.Question) []byte {
	if m.edit != nil && m.edit.of == q.ID+q.Digest {
		return m.edit.text
	}
	var text bytes.Buffer
	if json.Indent(&text, q.Candidate, "", "  ") != nil {
		return q.Candidate
	}
	text.WriteByte('\n')
	return text.Bytes()
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
	var was, now bytes.Buffer
	if err := json.Compact(&now, msg.text); err != nil {
		m.say(true, "that is no JSON: %v; e goes on with it", err)
		return nil
	}
	if json.Compact(&was, q.Candidate) == nil && bytes.Equal(was.Bytes(), now.Bytes()) {
		m.edit = nil
		m.say(false, "nothing was changed, and nothing decided")
		return nil
	}
	scope := ask.Once
	if len(q.Scopes) > 0 {
		scope = q.Scopes[0]
	}
	return m.open(&dialog{question: msg.question, verdict: ask.Approved, scope: scope, candidate: now.Bytes()})
}
