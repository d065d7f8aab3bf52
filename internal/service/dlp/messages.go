package dlp

import (
	"errors"
	"io"
)

// Options say what is done about findings in messages.
type Options struct {
	Verdict Verdict
	// Redact replaces in place where that keeps the message's form; Redactable, which may be nil,
	// says of which findings, and Redacted, which may be nil, is told.
	Redact     bool
	Redactable func(Finding) bool
	Redacted   func(Finding)
	// Conversation is that of a Redaction.
	Conversation bool
}

// messages is what messages of any kind have in common.
type messages struct {
	Options
	src   io.Reader
	e     *Engine
	place string
	use   Detectors
	raw   []byte
	ready []byte
	tail  []byte
	// changed tells whether the last look replaced something.
	changed bool
	err     error
}

var errMessage = errors.New("the message is too large to be looked at")

// take reads n bytes of the source into raw.
func (m *messages) take(n int) ([]byte, error) {
	if len(m.raw)+n > maxMessage {
		if err := m.Verdict([]Finding{{Rule: RuleWork, Place: m.place}}); err != nil {
			return nil, err
		}
		return nil, errMessage
	}
	at := len(m.raw)
	m.raw = append(m.raw, make([]byte, n)...)
	if _, err := io.ReadFull(m.src, m.raw[at:]); err != nil {
		m.raw = m.raw[:at]
		return nil, err
	}
	return m.raw[at:], nil
}

// look scans a message behind those before it. Where it may be changed, findings are replaced in
// it; else, and where that is not enough, the verdict decides.
func (m *messages) look(text []byte, changeable bool) error {
	found := m.scan(text)
	m.changed = false
	if len(found) > 0 && changeable && m.Redact {
		may := func(f Finding) bool { return m.Redactable == nil || m.Redactable(f) }
		var done []Finding
		r := Redaction{
			Whole: true, Conversation: m.Conversation, May: may,
			Again: func() []Finding { return m.scan(text) },
			Alone: func(value []byte) []Finding { return m.e.Scan(value, m.place, m.use) },
		}
		done, found = r.Replace(text, 0, found)
		m.changed = len(done) > 0
		for _, f := range done {
			if m.Redacted != nil {
				m.Redacted(f)
			}
		}
	}
	if len(found) > 0 {
		if err := m.Verdict(found); err != nil {
			return err
		}
	}
	m.tail = append(m.tail, text[max(0, len(text)-overlap):]...)
	m.tail = m.tail[max(0, len(m.tail)-4096):]
	return nil
}

func (m *messages) scan(text []byte) []Finding {
	s := m.e.Stream(m.place, m.use)
	s.Prime(m.tail)
	s.Write(text)
	return s.Close()
}

func (m *messages) release() {
	m.ready, m.raw = m.raw, nil
}
