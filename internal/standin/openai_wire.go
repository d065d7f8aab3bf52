package standin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// decodeBody reads a JSON body, also one that the agent compressed.
func decodeBody(r *http.Request, v any) error {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "zstd" {
		d, err := zstd.NewReader(r.Body)
		if err != nil {
			return err
		}
		defer d.Close()
		body = d
	}
	return json.NewDecoder(body).Decode(v)
}

// responsesRequest is the part of a Responses request that a script needs.
type responsesRequest struct {
	Type         string          `json:"type"`
	Generate     *bool           `json:"generate"`
	Model        string          `json:"model"`
	Stream       bool            `json:"stream"`
	Instructions string          `json:"instructions"`
	Input        json.RawMessage `json:"input"`
	Tools        []responseTool  `json:"tools"`
}

// responseTool is a tool, or a name space of some.
type responseTool struct {
	Type  string         `json:"type"`
	Name  string         `json:"name"`
	Tools []responseTool `json:"tools"`
}

// namesOf are the tools' names, with their name space before a slash unless it is that of the
// agent's own functions; a tool without one is called by its type.
func namesOf(tools []responseTool) (names []string) {
	for _, t := range tools {
		switch {
		case t.Type != "namespace":
			names = append(names, cmp.Or(t.Name, t.Type))
		case t.Name == "functions":
			names = append(names, namesOf(t.Tools)...)
		default:
			for _, name := range namesOf(t.Tools) {
				names = append(names, t.Name+"/"+name)
			}
		}
	}
	return names
}

type responseItem struct {
	Type    string          `json:"type"`
	Role    string          `json:"role"`
	CallID  string          `json:"call_id"`
	Content json.RawMessage `json:"content"`
	Output  json.RawMessage `json:"output"`
	Tools   []responseTool  `json:"tools"` // of "additional_tools", and of what a search found
}

func (r responsesRequest) asked() asked {
	a := asked{model: r.Model, system: r.Instructions, stream: r.Stream}
	a.tools = namesOf(r.Tools)
	var items []responseItem
	if json.Unmarshal(r.Input, &items) != nil {
		a.prompt = textOf(r.Input)
		return a
	}
	var said []string
	for _, item := range items {
		a.tools = append(a.tools, namesOf(item.Tools)...)
		switch {
		case strings.HasSuffix(item.Type, "_call_output"):
			if turn, ok := turnOfCall(item.CallID); ok {
				a.results = append(a.results, ToolResult{Turn: turn, Content: textOf(item.Output)})
			}
		case item.Role == "user":
			said = append(said, textOf(item.Content))
			a.said += textOf(item.Content) + "\n"
			a.results = nil // what was answered before
		case item.Role == "assistant":
			said, a.results = nil, nil
		case item.Role == "developer" || item.Role == "system":
			a.system += "\n" + textOf(item.Content)
		}
	}
	a.prompt = strings.Join(said, "\n")
	return a
}

// textOf is the text of a string, or of a list of parts or an object that hold some.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) == nil {
		var all []string
		for _, p := range parts {
			all = append(all, p.Text)
		}
		return strings.Join(all, "\n")
	}
	return string(raw)
}

// responseEvents is a turn as the Responses API streams it: created, for each item added, delta and
// done, completed.
func responseEvents(model string, turn Turn, index int) []map[string]any {
	id := fmt.Sprintf("resp_standin_%d", index)
	whole := map[string]any{"id": id, "object": "response", "model": model, "status": "in_progress", "created_at": now(), "output": []any{}}
	events := []map[string]any{{"type": "response.created", "response": whole}}
	output := []any{}
	add := func(item map[string]any, delta map[string]any) {
		at := len(output)
		events = append(events, map[string]any{"type": "response.output_item.added", "output_index": at, "item": item})
		if delta != nil {
			delta["output_index"], delta["item_id"] = at, item["id"]
			events = append(events, delta)
		}
		events = append(events, map[string]any{"type": "response.output_item.done", "output_index": at, "item": item})
		output = append(output, item)
	}
	if turn.Text != "" {
		add(map[string]any{
			"type": "message", "id": fmt.Sprintf("msg_standin_%d", index), "role": "assistant", "status": "completed",
			"content": []any{map[string]any{"type": "output_text", "text": turn.Text, "annotations": []any{}}},
		}, map[string]any{"type": "response.output_text.delta", "content_index": 0, "delta": turn.Text})
	}
	if text, ok := turn.Input[freeForm]; ok {
		add(map[string]any{
			"type": "custom_tool_call", "id": fmt.Sprintf("ctc_standin_%d", index), "call_id": fmt.Sprint(callPrefix, index),
			"name": turn.Tool, "input": text, "status": "completed",
		}, nil)
	} else if turn.Tool == toolSearch {
		add(map[string]any{
			"type": "tool_search_call", "id": fmt.Sprintf("tsc_standin_%d", index), "call_id": fmt.Sprintf("search_standin_%d", index),
			"execution": "client", "arguments": turn.Input, "status": "completed",
		}, nil)
	} else if turn.Tool != "" {
		call := map[string]any{
			"type": "function_call", "id": fmt.Sprintf("fc_standin_%d", index), "call_id": fmt.Sprint(callPrefix, index),
			"name": turn.Tool, "arguments": encode(turn.Input), "status": "completed",
		}
		if turn.space != "" {
			call["namespace"] = turn.space
		}
		add(call, nil)
	}
	return append(events, map[string]any{"type": "response.completed", "response": map[string]any{
		"id": id, "object": "response", "model": model, "status": "completed", "created_at": now(), "output": output,
		"usage": map[string]any{
			"input_tokens": 42, "input_tokens_details": map[string]int{"cached_tokens": 0},
			"output_tokens": 7, "output_tokens_details": map[string]int{"reasoning_tokens": 0}, "total_tokens": 49,
		},
	}})
}

func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil { // a script is Go values of the test's own
		panic(err)
	}
	return string(raw)
}
