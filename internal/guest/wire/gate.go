package wire

import "encoding/json"

// GateGreeting is the first byte of the git gate's connection to the sidecar. Its word follows,
// then streams (package mux): those that the sidecar opens are HTTP connections of the bottle,
// those that the gate opens bring one GateMessage a line.
const GateGreeting = 'g'

// GateMessage is an event for the log, or a question, which is answered by one GateReply on the
// same stream.
type GateMessage struct {
	Event    json.RawMessage `json:"event,omitempty"`    // audit.Event
	Question json.RawMessage `json:"question,omitempty"` // ask.Question
}

// GateReply is the answer to a question.
type GateReply struct {
	Answer  json.RawMessage `json:"answer,omitempty"` // ask.Answer
	Problem string          `json:"problem,omitempty"`
}
