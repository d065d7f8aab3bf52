package sidecar_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
)

// send posts a body and returns what the agent reads.
func send(t *testing.T, client *http.Client, address, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func TestASecretDoesNotLeaveByAnyPartOfARequest(t *testing.T) {
	r, ready := configured(t)
	client := agent(t, r, ready)
	own := token()
	pattern := "gh" + "p_" + "x8Kq2LmZ7vRt4WbN9yHd3FgJ6sPc5QeA1uTi"
	for name, secret := range map[string]string{"known": own, "pattern": pattern} {
		encoded := base64.RawURLEncoding.EncodeToString([]byte(secret))
		for place, try := range map[string]func() (int, string){
			"body":   func() (int, string) { return send(t, client, "https://example.com/x", `{"a":"`+secret+`"}`) },
			"base64": func() (int, string) { return send(t, client, "https://example.com/x", `{"a":"`+encoded+`"}`) },
			"path":   func() (int, string) { return send(t, client, "https://example.com/x/"+encoded, "") },
			"query":  func() (int, string) { return send(t, client, "https://example.com/x?q="+encoded, "") },
			"header": func() (int, string) { return send(t, client, "https://example.com/x", "", "X-Note", secret) },
			"split": func() (int, string) {
				return send(t, client, "https://example.com/x", "", "X-A", secret[:len(secret)/2], "X-B", secret[len(secret)/2:])
			},
			"split around what every client sends": func() (int, string) {
				return send(t, client, "https://example.com/x", "", "A-First", secret[:len(secret)/2], "Content-Type", "text/plain", "Z-Last", secret[len(secret)/2:])
			},
		} {
			status, answer := try()
			if status != 403 || !strings.Contains(answer, `"layer": "dlp"`) || strings.Contains(answer, secret) {
				t.Errorf("%s in the %s: %d %s", name, place, status, answer)
			}
		}
	}
	if status, answer := send(t, client, "https://example.com/x", strings.Repeat(`{"a":"plain"}`, 100)); status != 200 {
		t.Errorf("a clean request: %d %s", status, answer)
	}
}
