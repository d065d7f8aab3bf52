package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// chatRequest is the part of a Chat Completions request that a script needs.
type chatRequest struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Messages []struct {
		Role       string          `json:"role"`
		Content    json.RawMessage `json:"content"`
		ToolCallID string          `json:"tool_call_id"`
	} `json:"messages"`
	Tools []struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
}

func (c chatRequest) asked() asked {
	a := asked{model: c.Model, stream: c.Stream}
	for _, t := range c.Tools {
		a.tools = append(a.tools, t.Function.Name)
	}
	for _, m := range c.Messages {
		switch m.Role {
		case "tool":
			if turn, ok := turnOfCall(m.ToolCallID); ok {
				a.results = append(a.results, ToolResult{Turn: turn, Content: textOf(m.Content)})
			}
		case "user":
			a.prompt, a.results = textOf(m.Content), nil
			a.said += a.prompt + "\n"
		case "assistant":
			a.results = nil
		default:
			a.system += textOf(m.Content)
		}
	}
	return a
}

func (o *OpenAI) completions(w http.ResponseWriter, r *http.Request) {
	var request chatRequest
	if err := decodeBody(r, &request); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": map[string]string{"type": "invalid_request_error", "message": err.Error()}})
		return
	}
	turn, id := o.answer(request.asked())
	message, finish := map[string]any{"role": "assistant", "content": turn.Text}, "stop"
	if turn.Tool != "" {
		finish = "tool_calls"
		message["tool_calls"] = []any{map[string]any{
			"index": 0, "id": fmt.Sprint(callPrefix, id), "type": "function",
			"function": map[string]any{"name": turn.Tool, "arguments": encode(turn.Input)},
		}}
	}
	whole := func(kind string, choice map[string]any) map[string]any {
		choice["index"] = 0
		return map[string]any{
			"id": fmt.Sprintf("chat_standin_%d", id), "object": kind, "created": now(), "model": request.Model, "choices": []any{choice},
			"usage": map[string]int{"prompt_tokens": 42, "completion_tokens": 7, "total_tokens": 49},
		}
	}
	if !request.Stream {
		writeJSON(w, http.StatusOK, whole("chat.completion", map[string]any{"message": message, "finish_reason": finish}))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, choice := range []map[string]any{
		{"delta": message, "finish_reason": nil},
		{"delta": map[string]any{}, "finish_reason": finish},
	} {
		_, _ = fmt.Fprintf(w, "data: %s\n\n", encode(whole("chat.completion.chunk", choice)))
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
	_ = http.NewResponseController(w).Flush()
}
