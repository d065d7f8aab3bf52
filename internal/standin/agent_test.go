package standin_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// The script is worth nothing if the real program does not follow it.
func TestTheRealClaudeFollowsTheScript(t *testing.T) {
	claude := need.Agent(t, "claude")
	model := standin.NewAnthropic(standin.Bash("echo ran-$((6*7)); touch made"), standin.Say("All is done."))
	upstream, _ := start(t, standin.Config{Hosts: map[string]http.Handler{"127.0.0.1": model}})
	home, work := t.TempDir(), t.TempDir()
	authority := filepath.Join(home, "authority.pem")
	if err := os.WriteFile(authority, []byte(upstream.CA()), 0o600); err != nil {
		t.Fatal(err)
	}
	token := strings.Join([]string{"sk", "ant", "oat01", "standin"}, "-")
	command := exec.CommandContext(deadline(t), claude, "-p", "begin", "--dangerously-skip-permissions")
	command.Dir = work
	command.Env = []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "IS_SANDBOX=1", // root may use it in a sandbox only
		"ANTHROPIC_BASE_URL=" + upstream.URL(), "NODE_EXTRA_CA_CERTS=" + authority, "CLAUDE_CODE_OAUTH_TOKEN=" + token,
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_ERROR_REPORTING=1", "DISABLE_AUTOUPDATER=1",
	}
	said, err := command.Output()
	if err != nil || strings.TrimSpace(string(said)) != "All is done." {
		t.Fatalf("said %q, %v", said, err)
	}
	if diff := cmp.Diff([]standin.ToolResult{{Turn: 0, Content: "ran-42"}}, model.Results()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(work, "made")); err != nil {
		t.Error(err)
	}
	for _, request := range upstream.Requests() {
		if got := request.Header.Get("Authorization"); got != "Bearer "+token {
			t.Errorf("%v carried %q", request, got)
		}
	}
}
