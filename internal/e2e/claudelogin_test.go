package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

func claudeWorld(t *testing.T, settings string, script ...standin.Turn) *world {
	t.Helper()
	needNative(t)
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: standin.NewAnthropic(script...)}})
	if err := os.Symlink(need.Agent(t, "claude"), filepath.Join(w.bin, "claude")); err != nil {
		t.Fatal(err)
	}
	w.bottle("workspace: copy\nagent_provider: {template: claude, "+settings+"}\n", claude.Host)
	return w
}

// TestClaudesOtherCredentials has the real program work with an API key and with the host's login.
func TestClaudesOtherCredentials(t *testing.T) {
	t.Run("an API key", func(t *testing.T) {
		w := claudeWorld(t, "auth_token: ANTHROPIC_API_KEY", standin.Say("I am done."))
		key := "sk-ant-" + "api03-" + strings.Repeat("Zk4", 20)
		w.env["ANTHROPIC_API_KEY"] = key
		w.works(t, "X-Api-Key", key, "Authorization")
	})
	t.Run("the host's login", func(t *testing.T) {
		w := claudeWorld(t, "forward_host_credentials: true", standin.Say("I am done."))
		token := "sk-ant-" + "oat01-" + strings.Repeat("Lg9", 20)
		w.file(filepath.Join(w.user, ".claude", ".credentials.json"),
			fmt.Sprintf(`{"claudeAiOauth":{"accessToken":%q,"refreshToken":"r","expiresAt":%d,"subscriptionType":"max"}}`, token, time.Now().Add(time.Hour).UnixMilli()), 0o600)
		w.works(t, "Authorization", "Bearer "+token, "X-Api-Key")
	})
	t.Run("no login", func(t *testing.T) {
		w := claudeWorld(t, "forward_host_credentials: true")
		if r := w.headless("x"); r.code != 125 || !strings.Contains(r.err, "there is none at") || !strings.Contains(r.err, "/login") {
			t.Errorf("exit %d\n%s", r.code, r.err)
		}
	})
}

// works runs one headless session and looks at what its requests carried.
func (w *world) works(t *testing.T, header, value, without string) {
	t.Helper()
	if r := w.headless("do the thing"); r.code != 0 || !strings.Contains(r.out, "I am done.") {
		t.Fatalf("exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	messages := 0
	for _, q := range w.upstream.Requests() {
		if q.Header.Get(header) != value || q.Header.Get(without) != "" {
			t.Errorf("%s %s came with another credential", q.Method, q.URI)
		}
		if strings.HasPrefix(q.URI, "/v1/messages") {
			messages++
		}
	}
	if messages == 0 {
		t.Error("no message was sent")
	}
}

// TestAServerOfTheRepositoryRunsInTheBottle has a repository bring a server of the Model Context
// Protocol that is a program: it runs where the agent runs, and finds nothing of the host.
func TestAServerOfTheRepositoryRunsInTheBottle(t *testing.T) {
	w := claudeWorld(t, "auth_token: BOT_BOTTLE_CLAUDE_OAUTH_TOKEN",
		standin.Bash("until [ -e mcp-ran ]; do :; done; cat mcp-ran"), standin.Say("I am done."))
	private := filepath.Join(w.user, "private")
	w.file(private, "of the host\n", 0o600)
	escaped := filepath.Join(w.dir, "escaped")
	w.file(filepath.Join(w.project, "server"), "#!/bin/sh\n(id -un; cat "+private+"; touch "+escaped+") > mcp-new 2>&1; mv mcp-new mcp-ran; cat > /dev/null\n", 0o755)
	w.file(filepath.Join(w.project, ".mcp.json"), `{"mcpServers":{"repo":{"command":"./server","args":[]}}}`, 0o644)
	r := w.headless("do the thing", "--", "--mcp-config", ".mcp.json")
	if r.code != 0 || !strings.Contains(r.out, "I am done.") {
		t.Fatalf("exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	seen, err := os.ReadFile(filepath.Join(w.home, "state", r.kept(t), "home", "workspace", "mcp-ran"))
	if err != nil || !strings.HasPrefix(string(seen), "node\n") || strings.Contains(string(seen), "of the host") {
		t.Errorf("the server saw %q, %v", seen, err)
	}
	if _, err := os.Stat(escaped); !os.IsNotExist(err) {
		t.Errorf("it wrote on the host: %v", err)
	}
}
