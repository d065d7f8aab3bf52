package standin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bot-bottle/internal/standin"
)

func post(t *testing.T, client *http.Client, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(deadline(t), http.MethodPost, "https://api.anthropic.com"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

const asked = `{"model":"m","system":[{"type":"text","text":"You are kind."}],"tools":[{"name":"Bash"}],"messages":[{"role":"user","content":"begin"}]`

const reported = `{"model":"m","tools":[{"name":"Bash"}],"messages":[
	{"role":"user","content":"begin"},
	{"role":"assistant","content":[{"type":"tool_use","id":"toolu_standin_0","name":"Bash","input":{"command":"id -un"}}]},
	{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_standin_0","is_error":true,"content":[{"type":"text","text":"node"}]}]}]}`

func TestTheScriptIsPlayed(t *testing.T) {
	model := standin.NewAnthropic(standin.Bash("id -un"), standin.Say("You are node."), standin.Say("Again."))
	_, client := start(t, standin.Config{Hosts: map[string]http.Handler{"api.anthropic.com": model}})

	_, first := post(t, client, "/v1/messages?beta=true", asked+`}`)
	if !strings.Contains(first, `"id -un"`) || !strings.Contains(first, `"stop_reason":"tool_use"`) {
		t.Errorf("first turn: %s", first)
	}
	_, title := post(t, client, "/v1/messages", `{"model":"m","messages":[{"role":"user","content":"a title?"}]}`)
	if !strings.Contains(title, `"ok"`) {
		t.Errorf("housekeeping took part in the script: %s", title)
	}
	for range 2 { // a retry gets the same answer
		if _, second := post(t, client, "/v1/messages", reported); !strings.Contains(second, "You are node.") || !strings.Contains(second, "end_turn") {
			t.Errorf("second turn: %s", second)
		}
	}
	for _, want := range []string{"Again.", "Done."} {
		if _, answer := post(t, client, "/v1/messages", asked+`}`); !strings.Contains(answer, want) {
			t.Errorf("want %q: %s", want, answer)
		}
	}
	if diff := cmp.Diff([]standin.ToolResult{{Turn: 0, Content: "node", IsError: true}}, model.Results()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	want := standin.Exchange{Turn: 0, Model: "m", System: "You are kind.", Prompt: "begin", Tools: []string{"Bash"}}
	if diff := cmp.Diff(want, model.Exchanges()[0]); diff != "" {
		t.Errorf("first exchange (-want +got):\n%s", diff)
	}
}

func TestStreamingFollowsTheMessagesAPI(t *testing.T) {
	model := standin.NewAnthropic(standin.Turn{Text: "I look.", Tool: "Bash", Input: map[string]any{"command": "ls"}})
	_, client := start(t, standin.Config{Default: model})
	_, body := post(t, client, "/v1/messages", asked+`,"stream":true}`)
	var kinds []string
	var input string
	for event := range strings.SplitSeq(strings.TrimSpace(body), "\n\n") {
		name, data, _ := strings.Cut(event, "\n")
		var decoded struct {
			Type  string
			Delta struct {
				PartialJSON string `json:"partial_json"`
			}
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(data, "data: ")), &decoded); err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		if name != "event: "+decoded.Type {
			t.Errorf("%s carries %s", name, decoded.Type)
		}
		kinds = append(kinds, decoded.Type)
		input += decoded.Delta.PartialJSON
	}
	want := []string{
		"message_start", "ping",
		"content_block_start", "content_block_delta", "content_block_stop",
		"content_block_start", "content_block_delta", "content_block_stop",
		"message_delta", "message_stop",
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if input != `{"command":"ls"}` {
		t.Errorf("input %s", input)
	}
}

func TestOtherEndpoints(t *testing.T) {
	_, client := start(t, standin.Config{Default: standin.NewAnthropic()})
	for path, want := range map[string]string{
		"/api/hello":                     "hello",
		"/v1/models":                     `"claude-standin"`,
		"/v1/models/claude-x":            `"claude-x"`,
		"/api/claude_code/policy_limits": "not_found_error",
	} {
		if _, body := get(t, client, "https://api.anthropic.com"+path); !strings.Contains(body, want) {
			t.Errorf("%s: %s", path, body)
		}
	}
	if _, body := post(t, client, "/v1/messages/count_tokens", `{}`); !strings.Contains(body, "input_tokens") {
		t.Errorf("count_tokens: %s", body)
	}
	for _, bad := range []string{"no json", `{"messages":[]}`} {
		if code, body := post(t, client, "/v1/messages", bad); code != http.StatusBadRequest || !strings.Contains(body, "invalid_request_error") {
			t.Errorf("%s: %d %s", bad, code, body)
		}
	}
}
