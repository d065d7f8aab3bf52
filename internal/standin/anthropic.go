package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Turn is one answer of the model: words, or the use of a tool whose result leads to the next turn.
type Turn struct {
	Text  string
	Tool  string         // such as "Bash"; "" for words alone
	Input map[string]any // the tool's arguments
	space string         // the tool's name space, where it has one
}

// Say is a turn of words; it hands the conversation back.
func Say(text string) Turn { return Turn{Text: text} }

// Bash is a turn that runs a command in the agent's shell.
func Bash(command string) Turn {
	return Use("Bash", map[string]any{"command": command, "description": "Run a command"})
}

// Use is a turn that calls a tool.
func Use(tool string, input map[string]any) Turn { return Turn{Tool: tool, Input: input} }

// ToolResult is what the agent sent back for a turn that used a tool.
type ToolResult struct {
	Turn    int // index into the script
	Content string
	IsError bool
}

// Anthropic plays api.anthropic.com: the Messages API with and without streaming, token counting,
// and the questions that Claude Code asks when it starts. The conversation follows a script; when
// the script has ended it answers "Done." It is an http.Handler, safe for concurrent use.
type Anthropic struct {
	mux *http.ServeMux

	mu        sync.Mutex
	script    []Turn
	next      int
	results   map[int]ToolResult
	exchanges []Exchange
}

// Exchange is one request to the Messages API that took part in the conversation.
type Exchange struct {
	Turn   int    // the turn that answered it
	Model  string // as asked for
	System string // the whole system prompt
	Prompt string // the text of the last message, "" where it brought tool results only
	Said   string // OpenAI: every message of the user's in the request
	Tools  []string
	Stream bool
}

// NewAnthropic makes a model that plays the script.
func NewAnthropic(script ...Turn) *Anthropic {
	a := &Anthropic{script: script, results: make(map[int]ToolResult), mux: http.NewServeMux()}
	a.mux.HandleFunc("POST /v1/messages", a.messages)
	a.mux.HandleFunc("POST /v1/messages/count_tokens", countTokens)
	a.mux.HandleFunc("GET /v1/models", models)
	a.mux.HandleFunc("GET /v1/models/{model}", oneModel)
	a.mux.HandleFunc("GET /api/hello", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"message": "hello"})
	})
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead { // Claude Code asks whether its base URL answers
			return
		}
		apiError(w, http.StatusNotFound, "not_found_error", r.Method+" "+r.URL.Path+" is not played")
	})
	return a
}

func (a *Anthropic) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Results returns what the tools of the script gave, in the order of the turns.
func (a *Anthropic) Results() []ToolResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	var results []ToolResult
	for turn := range a.script {
		if result, ok := a.results[turn]; ok {
			results = append(results, result)
		}
	}
	return results
}

// Exchanges returns the requests of the conversation so far, in order.
func (a *Anthropic) Exchanges() []Exchange {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Exchange(nil), a.exchanges...)
}

// messagesRequest is the part of a Messages request that a script needs.
type messagesRequest struct {
	Model    string    `json:"model"`
	Stream   bool      `json:"stream"`
	System   content   `json:"system"`
	Messages []message `json:"messages"`
	Tools    []struct {
		Name string `json:"name"`
	} `json:"tools"`
}

type message struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

// content is a string or a list of blocks.
type content []block

type block struct {
	Type      string  `json:"type"`
	Text      string  `json:"text"`
	ToolUseID string  `json:"tool_use_id"`
	Content   content `json:"content"`
	IsError   bool    `json:"is_error"`
}

func (c *content) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*c = content{{Type: "text", Text: text}}
		return nil
	}
	var blocks []block
	if err := json.Unmarshal(data, &blocks); err != nil {
		return err
	}
	*c = blocks
	return nil
}

func (c content) text() string {
	var parts []string
	for _, b := range c {
		if b.Type == "text" {
			parts = append(parts, b.Text)
		}
	}
	return strings.Join(parts, "\n")
}

func (a *Anthropic) messages(w http.ResponseWriter, r *http.Request) {
	var request messagesRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		apiError(w, http.StatusBadRequest, "invalid_request_error", err.Error())
		return
	}
	if len(request.Messages) == 0 {
		apiError(w, http.StatusBadRequest, "invalid_request_error", "messages: at least one message is required")
		return
	}
	turn, id := a.answer(request)
	reply := newReply(request, turn, id)
	if request.Stream {
		reply.stream(w)
		return
	}
	writeJSON(w, http.StatusOK, reply.message())
}

// answer finds the turn that answers a request. A result of a scripted tool leads to the turn
// after it, so a retry gets the same answer; anything else said leads to the next turn that was
// not played yet. Requests without tools are the agent's own housekeeping (a title, a quota
// check) and are no part of the script.
func (a *Anthropic) answer(request messagesRequest) (Turn, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(request.Tools) == 0 {
		return Say("ok"), -1
	}
	for _, m := range request.Messages { // an agent may add words of its own behind a result
		for _, b := range m.Content {
			if played, ok := turnOf(b.ToolUseID); ok && b.Type == "tool_result" {
				a.results[played] = ToolResult{Turn: played, Content: b.Content.text(), IsError: b.IsError}
			}
		}
	}
	last := request.Messages[len(request.Messages)-1].Content
	turn := a.next
	for _, b := range last {
		played, ok := turnOf(b.ToolUseID)
		if b.Type != "tool_result" || !ok {
			continue
		}
		turn = played + 1
	}
	a.next = max(a.next, turn+1)
	exchange := Exchange{Turn: turn, Model: request.Model, Stream: request.Stream, System: request.System.text(), Prompt: last.text()}
	for _, tool := range request.Tools {
		exchange.Tools = append(exchange.Tools, tool.Name)
	}
	a.exchanges = append(a.exchanges, exchange)
	if turn >= len(a.script) {
		return Say("Done."), turn
	}
	return a.script[turn], turn
}

const toolUsePrefix = "toolu_standin_"

func turnOf(toolUseID string) (int, bool) {
	digits, ok := strings.CutPrefix(toolUseID, toolUsePrefix)
	if !ok {
		return 0, false
	}
	turn, err := strconv.Atoi(digits)
	return turn, err == nil
}

func countTokens(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]int{"input_tokens": 42})
}

func modelInfo(id string) map[string]any {
	return map[string]any{"type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z"}
}

func models(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"data": []any{modelInfo("claude-standin")}, "has_more": false})
}

func oneModel(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, modelInfo(r.PathValue("model")))
}

func apiError(w http.ResponseWriter, code int, kind, text string) {
	writeJSON(w, code, map[string]any{
		"type":  "error",
		"error": map[string]string{"type": kind, "message": fmt.Sprintf("stand-in: %s", text)},
	})
}
