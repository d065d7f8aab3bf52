package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// registry plays a registry of npm with one package, whose program greets.
func registry(t *testing.T) http.Handler {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	for name, text := range map[string]string{
		"package/package.json": `{"name":"greeter","version":"1.0.0","bin":{"greet":"greet.js"}}`,
		"package/greet.js":     "#!/usr/bin/env node\nconsole.log('hello from the package')\n",
	} {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(packed.Bytes())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /greeter", func(w http.ResponseWriter, _ *http.Request) {
		version := map[string]any{
			"name": "greeter", "version": "1.0.0", "bin": map[string]string{"greet": "greet.js"},
			"dist": map[string]string{"tarball": "https://registry.example.org/greeter/-/greeter-1.0.0.tgz", "integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:])},
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "greeter", "dist-tags": map[string]string{"latest": "1.0.0"}, "versions": map[string]any{"1.0.0": version}})
	})
	mux.HandleFunc("GET /greeter/-/greeter-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(packed.Bytes()) })
	return mux
}

// capabilityAgent asks for the package where it is missing, and then waits for its own end.
const capabilityAgent = `if command -v greet >/dev/null; then greet; exit 0; fi
mkdir -p ~/.claude/projects/p && echo '{}' > ~/.claude/projects/p/s.jsonl
curl -sS -m 50 http://supervise/mcp -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
  -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"capability-block","arguments":{"packages":[{"manager":"npm","name":"greeter"}],"justification":"to greet"}}}'
sleep 50
`

func TestAnApprovedCapabilityIsThereAfterTheRestart(t *testing.T) {
	needNative(t)
	_, err := exec.LookPath("npm") // the host's is the bottle's
	need.Require(t, need.Agents, err)
	for name, more := range map[string][]string{"by itself": {"--auto-resume"}, "by a person": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: http.NotFoundHandler(), "registry.example.org": registry(t)}})
			w.bottle("env: {NPM_CONFIG_REGISTRY: https://registry.example.org/}\n", claude.Host, "registry.example.org")
			w.agent(capabilityAgent)
			done := w.begun(append([]string{"start", "work", "--yes", "--headless", "--prompt", "go"}, more...)...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			p, ok := w.asked(ctx)
			if !ok || p.Kind != ask.Capability || p.Title != "packages: greeter (npm)" || p.Effect[0].Value != "+ npm greeter" {
				t.Fatalf("asked %+v", p)
			}
			w.decided(ctx, "approve", p)
			r := ended(t, done)
			if !strings.Contains(r.out, `\"approved\"`) || !strings.Contains(r.out, "This bottle ends in a moment") {
				t.Errorf("the agent was told %s", r.out)
			}
			id := r.kept(t)
			if more == nil {
				if _, err := os.Stat(filepath.Join(w.home, "state", id, ".preserve")); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(filepath.Join(w.home, "state", id, "transcript", "p", "s.jsonl")); err != nil {
					t.Error(err)
				}
				r = w.run("resume", id, "--yes", "--headless", "--prompt", "go on")
			}
			if r.code != 0 || !strings.Contains(r.out, "hello from the package\n") {
				t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
			}
		})
	}
}
