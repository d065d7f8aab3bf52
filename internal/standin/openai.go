package standin

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// OpenAI plays api.openai.com and chatgpt.com: the Responses API by server-sent events and by
// WebSocket, and the Chat Completions API with and without streaming. The conversation follows a
// script as that of Anthropic does; Bash is translated to the shell tool that the agent offers, and
// mcp__server__tool to the way in which it offers those of servers. It is an http.Handler, safe for
// concurrent use.
type OpenAI struct {
	// Plain refuses the WebSocket, as a proxy that knows none does. Set it before the first request.
	Plain bool

	mux *http.ServeMux

	mu        sync.Mutex
	script    []Turn
	next      int
	results   map[int]ToolResult
	exchanges []Exchange
	sockets   int
}

// NewOpenAI makes a model that plays the script.
func NewOpenAI(script ...Turn) *OpenAI {
	o := &OpenAI{script: script, results: make(map[int]ToolResult), mux: http.NewServeMux()}
	for _, base := range []string{"/v1", "/backend-api/codex"} {
		o.mux.HandleFunc("POST "+base+"/responses", o.responses)
		o.mux.HandleFunc("GET "+base+"/responses", o.socket)
		o.mux.HandleFunc("GET "+base+"/models", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{}, "models": []any{}})
		})
	}
	o.mux.HandleFunc("POST /v1/chat/completions", o.completions)
	o.mux.HandleFunc("GET /backend-api/wham/accounts/check", accounts)
	o.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, map[string]any{"error": map[string]string{
			"type": "not_found", "message": "stand-in: " + r.Method + " " + r.URL.Path + " is not played",
		}})
	})
	return o
}

func (o *OpenAI) ServeHTTP(w http.ResponseWriter, r *http.Request) { o.mux.ServeHTTP(w, r) }

// Results returns what the tools of the script gave, in the order of the turns.
func (o *OpenAI) Results() []ToolResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	var results []ToolResult
	for turn := range o.script {
		if result, ok := o.results[turn]; ok {
			results = append(results, result)
		}
	}
	return results
}

// Exchanges returns the requests of the conversation so far, in order.
func (o *OpenAI) Exchanges() []Exchange {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Exchange(nil), o.exchanges...)
}

// Heard reports whether one request of the conversation held all of the texts in what was said.
func (o *OpenAI) Heard(texts ...string) bool {
	for _, e := range o.Exchanges() {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(e.Said, text)
		}
		if all {
			return true
		}
	}
	return false
}

// Sockets is how many WebSocket connections were opened.
func (o *OpenAI) Sockets() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sockets
}

// asked is what a script needs of a request, whatever API brought it.
type asked struct {
	model, system string
	stream        bool
	tools         []string
	results       []ToolResult // of scripted turns, in the part that is new
	prompt, said  string       // the last message, and everything that is in the request
}

const callPrefix = "call_standin_"

func turnOfCall(id string) (int, bool) {
	turn, err := strconv.Atoi(strings.TrimPrefix(id, callPrefix))
	return turn, err == nil && strings.HasPrefix(id, callPrefix)
}

// answer finds the turn that answers: a result of a scripted tool leads to the turn after it,
// anything else to the next one that was not played. Requests without tools are housekeeping.
func (o *OpenAI) answer(a asked) (Turn, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(a.tools) == 0 {
		return Say("ok"), -1
	}
	turn := o.next
	for _, r := range a.results {
		o.results[r.Turn] = r
		turn = r.Turn + 1
	}
	played := Say("Done.")
	if turn < len(o.script) {
		played = toolOf(o.script[turn], a.tools)
	}
	if played.Tool != toolSearch { // the turn is still to come
		o.next = max(o.next, turn+1)
	}
	o.exchanges = append(o.exchanges, Exchange{
		Turn: turn, Model: a.model, System: a.system, Prompt: a.prompt, Said: a.said, Tools: a.tools, Stream: a.stream,
	})
	return played, turn
}

// socket plays the Responses API over a WebSocket: each message "response.create" is a request, and
// each event of its answer one message.
func (o *OpenAI) socket(w http.ResponseWriter, r *http.Request) {
	if o.Plain || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(64 << 20)
	o.mu.Lock()
	o.sockets++
	o.mu.Unlock()
	var tools []string // as the connection's last request named them: later ones may leave them out
	for {
		_, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		var request responsesRequest
		if json.Unmarshal(message, &request) != nil || request.Type != "response.create" {
			continue
		}
		turn, id, question := Turn{}, -1, request.asked()
		if len(question.tools) == 0 {
			question.tools = tools
		}
		tools = question.tools
		if request.Generate == nil || *request.Generate {
			turn, id = o.answer(question)
		}
		for _, event := range responseEvents(request.Model, turn, id) {
			encoded, err := json.Marshal(event)
			if err != nil || conn.Write(r.Context(), websocket.MessageText, encoded) != nil {
				return
			}
		}
	}
}

func (o *OpenAI) responses(w http.ResponseWriter, r *http.Request) {
	var request responsesRequest
	if err := decodeBody(r, &request); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": map[string]string{"type": "invalid_request_error", "message": err.Error()}})
		return
	}
	turn, id := o.answer(request.asked())
	events := responseEvents(request.Model, turn, id)
	if !request.Stream {
		writeJSON(w, http.StatusOK, events[len(events)-1]["response"])
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, event := range events {
		name, _ := event["type"].(string)
		send(w, name, event)
	}
}

// accounts says that the caller's account may use any host of the service.
func accounts(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("ChatGPT-Account-Id")
	writeJSON(w, http.StatusOK, map[string]any{
		"accounts": []any{map[string]any{
			"id": id, "account_user_id": "user-standin", "account_user_role": "standard-user", "structure": "personal", "plan_type": "pro",
			"is_zdr": false, "is_openai_internal": false,
			"workspace_backend_origin": "NO_CONSTRAINT", "account_routing_override": "NO_CONSTRAINT",
		}},
		"default_account_id": id, "account_ordering": []string{id},
	})
}

func now() int64 { return time.Now().Unix() }
