package e2e_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// stacks are programs with a TLS stack of their own, each fetching a URL in the way that its users
// do, by the proxy variables and without them. {} is the URL.
func stacks() map[string]string {
	return map[string]string{
		"curl":   `curl -fsS {}`,
		"wget":   `wget -qO- {}`,
		"node":   `node -e 'fetch("{}").then(async r => { if (!r.ok) process.exit(9); console.log(await r.text()) })'`,
		"python": `python3 -c 'import urllib.request as u; print(u.urlopen("{}").read().decode())'`,
		"java": `cd /tmp && cat > G.java <<'J' && java G.java {} 2>/dev/null
public class G { public static void main(String[] a) throws Exception {
  var r = java.net.http.HttpClient.newHttpClient().send(java.net.http.HttpRequest.newBuilder(java.net.URI.create(a[0])).build(), java.net.http.HttpResponse.BodyHandlers.ofString());
  if (r.statusCode() != 200) System.exit(9); System.out.println(r.body()); } }
J`,
		"git":     `git ls-remote {}repo.git 2>&1 | grep -q 'not found\|403\|404\|not valid' && echo '"host": "api.example.org" by git'`,
		"openssl": `printf 'GET / HTTP/1.1\r\nHost: api.example.org\r\nConnection: close\r\n\r\n' | openssl s_client -quiet -verify_return_error -servername api.example.org -connect api.example.org:443 2>/dev/null`,
	}
}

// TestEveryStackTrustsTheSidecar runs each program against an upstream whose own authority the
// bottle does not know: only what the sidecar presents can verify.
func TestEveryStackTrustsTheSidecar(t *testing.T) {
	needNative(t)
	var script strings.Builder
	script.WriteString("shopt -s expand_aliases\n")
	for name, command := range stacks() {
		if _, err := exec.LookPath(program0(name)); err != nil {
			t.Logf("%s is not on this machine: %v", name, err)
			continue
		}
		for way, unset := range map[string]string{"proxy": "true", "transparent": "unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy"} {
			fmt.Fprintf(&script, "echo '=== %s %s'; ( %s\n%s\n) 2>&1; echo \"=== exit $?\"\n", name, way, unset, strings.ReplaceAll(command, "{}", "https://api.example.org/"))
		}
	}
	w := newWorld(t, standin.Config{})
	w.bottle("", "api.example.org")
	w.agent(script.String())
	r := w.headless("x")
	if r.code != 0 {
		t.Fatalf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	parts := strings.Split(r.out, "=== ")
	checked := 0
	for i := 1; i+1 < len(parts); i += 2 {
		name, body, _ := strings.Cut(parts[i], "\n")
		checked++
		if !strings.HasPrefix(parts[i+1], "exit 0") || !strings.Contains(body, "api.example.org") {
			t.Errorf("%s: %s\n%s", name, strings.TrimSpace(parts[i+1]), body)
		}
	}
	if checked < 8 {
		t.Errorf("only %d were checked:\n%s", checked, r.out)
	}
	var mirrored standin.Mirrored
	for _, p := range parts {
		if strings.HasPrefix(p, "curl") {
			_, body, _ := strings.Cut(p, "\n")
			if err := json.Unmarshal([]byte(body), &mirrored); err != nil || mirrored.Host != "api.example.org" {
				t.Errorf("curl got %q: %v", body, err)
			}
		}
	}
}

// program0 is the program behind a stack's name.
func program0(stack string) string {
	switch stack {
	case "python":
		return "python3"
	}
	return stack
}
