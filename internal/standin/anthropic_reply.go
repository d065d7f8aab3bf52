package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// reply is a turn in the form of the Messages API.
type reply struct {
	id     string
	model  string
	blocks []map[string]any
	stop   string
}

func newReply(request messagesRequest, turn Turn, index int) reply {
	r := reply{id: fmt.Sprintf("msg_standin_%d", index), model: request.Model, stop: "end_turn"}
	if turn.Text != "" {
		r.blocks = append(r.blocks, map[string]any{"type": "text", "text": turn.Text})
	}
	if turn.Tool != "" {
		r.stop = "tool_use"
		r.blocks = append(r.blocks, map[string]any{
			"type": "tool_use", "id": fmt.Sprintf("%s%d", toolUsePrefix, index), "name": turn.Tool, "input": turn.Input,
		})
	}
	return r
}

func usage() map[string]int { return map[string]int{"input_tokens": 42, "output_tokens": 7} }

func (r reply) message() map[string]any {
	return map[string]any{
		"id": r.id, "type": "message", "role": "assistant", "model": r.model, "content": r.blocks,
		"stop_reason": r.stop, "stop_sequence": nil, "usage": usage(),
	}
}

// stream sends the reply as server-sent events, in the order of the Messages API's streaming page:
// message_start, for each block start, delta and stop, message_delta, message_stop.
func (r reply) stream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	started := r.message()
	started["content"], started["stop_reason"] = []any{}, nil
	send(w, "message_start", map[string]any{"message": started})
	send(w, "ping", map[string]any{})
	for i, block := range r.blocks {
		empty, delta := opened(block)
		send(w, "content_block_start", map[string]any{"index": i, "content_block": empty})
		send(w, "content_block_delta", map[string]any{"index": i, "delta": delta})
		send(w, "content_block_stop", map[string]any{"index": i})
	}
	send(w, "message_delta", map[string]any{
		"delta": map[string]any{"stop_reason": r.stop, "stop_sequence": nil}, "usage": usage(),
	})
	send(w, "message_stop", map[string]any{})
}

// opened splits a block into the empty one that opens it and the delta that fills it.
func opened(block map[string]any) (empty, delta map[string]any) {
	if block["type"] == "text" {
		return map[string]any{"type": "text", "text": ""},
			map[string]any{"type": "text_delta", "text": block["text"]}
	}
	input, err := json.Marshal(block["input"])
	if err != nil { // a script is Go values of the test's own
		panic(err)
	}
	return map[string]any{"type": "tool_use", "id": block["id"], "name": block["name"], "input": map[string]any{}},
		map[string]any{"type": "input_json_delta", "partial_json": string(input)}
}

func send(w http.ResponseWriter, event string, data map[string]any) {
	data["type"] = event
	encoded, err := json.Marshal(data)
	if err != nil {
		panic(err) // only values of this package
	}
	_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, encoded)
	_ = http.NewResponseController(w).Flush()
}
