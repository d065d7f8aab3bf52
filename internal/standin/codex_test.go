package standin_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

func jwt(t *testing.T, claims map[string]any) string {
	t.Helper()
	enc := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	return enc(map[string]string{"alg": "none", "typ": "JWT"}) + "." + enc(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte("no signature"))
}

// The script is worth nothing if the real program does not follow it.
func TestTheRealCodexFollowsTheScript(t *testing.T) {
	codex := need.Agent(t, "codex")
	for _, plain := range []bool{false, true} {
		t.Run(map[bool]string{false: "by WebSocket", true: "by HTTP"}[plain], func(t *testing.T) {
			model := standin.NewOpenAI(standin.Bash("echo ran-$((6*7)); touch made"), standin.Say("All is done."))
			model.Plain = plain
			upstream, _ := start(t, standin.Config{Hosts: map[string]http.Handler{"127.0.0.1": model}})
			home, work := t.TempDir(), t.TempDir()
			authority := filepath.Join(home, "authority.pem")
			if err := os.WriteFile(authority, []byte(upstream.CA()), 0o600); err != nil {
				t.Fatal(err)
			}
			token := jwt(t, map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "email": "a@b.example",
				"https://api.openai.com/auth": map[string]string{"chatgpt_account_id": "acct-1", "chatgpt_plan_type": "pro", "chatgpt_user_id": "u"}})
			auth, _ := json.Marshal(map[string]any{"OPENAI_API_KEY": nil, "last_refresh": time.Now().UTC().Format(time.RFC3339),
				"tokens": map[string]string{"id_token": token, "access_token": token, "refresh_token": "r", "account_id": "acct-1"}})
			if err := os.MkdirAll(filepath.Join(home, ".codex"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(home, ".codex", "auth.json"), auth, 0o600); err != nil {
				t.Fatal(err)
			}
			base := upstream.URL() + "/backend-api"
			config := fmt.Sprintf("openai_base_url = %q\nchatgpt_base_url = %q\ncheck_for_update_on_startup=false\n", base+"/codex", base)
			if err := os.WriteFile(filepath.Join(home, ".codex", "config.toml"), []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(deadline(t), codex, "exec", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check", "begin")
			command.Dir = work
			command.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "CODEX_CA_CERTIFICATE=" + authority}
			said, err := command.CombinedOutput()
			if err != nil || !strings.Contains(string(said), "All is done.") {
				t.Fatalf("said %q, %v", said, err)
			}
			if got := model.Results(); len(got) != 1 || !strings.Contains(got[0].Content, "ran-42") {
				t.Errorf("results %+v", got)
			}
			if _, err := os.Stat(filepath.Join(work, "made")); err != nil {
				t.Error(err)
			}
			if (model.Sockets() > 0) == plain {
				t.Errorf("%d WebSockets", model.Sockets())
			}
		})
	}
}
