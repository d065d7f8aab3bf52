package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/provider/codex"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

var (
	pinned = regexp.MustCompile(`(?m)^ARG VERSION=(\d+\.\d+\.\d+)$`)
	tested = regexp.MustCompile(`(?m)^(\w+)_version=(\S+)$`)
)

// TestDockerfilesBringTheTestedVersion holds every Dockerfile's default against what the tests run.
func TestDockerfilesBringTheTestedVersion(t *testing.T) {
	setup, err := os.ReadFile(filepath.Join("..", "..", "scripts", "setup"))
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, m := range tested.FindAllStringSubmatch(string(setup), -1) {
		versions[m[1]] = m[2]
	}
	opencode, err := os.ReadFile(filepath.Join("..", "..", "examples", "providers", "opencode", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"claude": dockerfileOf(t, claude.Provider{}), "codex": dockerfileOf(t, codex.Provider{}), "opencode": string(opencode)} {
		if m := pinned.FindStringSubmatch(text); m == nil || m[1] != versions[name] {
			t.Errorf("the Dockerfile of %s brings %q, tested is %q", name, m, versions[name])
		}
	}
}

func dockerfileOf(t *testing.T, p provider.Provider) string {
	t.Helper()
	spec, err := p.Spec(provider.Request{Dir: plan.Home})
	if err != nil {
		t.Fatal(err)
	}
	return spec.Dockerfile
}

// builds is the variable that has the shipped Dockerfiles be built: each fetches some hundred megabytes
// from registries. `make images` sets it.
const builds = "BOT_BOTTLE_TEST_BUILDS"

// TestTheShippedDockerfilesBuild builds them as a user does behind a company's proxy: on a base image
// of their own that knows this machine's certificates and npm's settings. A bottle of each does its work.
func TestTheShippedDockerfilesBuild(t *testing.T) {
	if os.Getenv(builds) == "" {
		need.Require(t, need.Registry, fmt.Errorf("%s is not set; run make images", builds))
	}
	hold := func(t *testing.T, w *world, _ string) {
		needDocker(t, w)
		need.Require(t, need.Registry, registryAnswers())
		w.env["BOT_BOTTLE_BASE_IMAGE"] = companyImage(t)
		w.env["BOT_BOTTLE_BUILD_NETWORK"] = "host"
		w.limit = buildLimit
	}
	for name, run := range map[string]func(*testing.T, holder){
		"claude": claudeFromItsDockerfile, "codex": codexFromItsDockerfile, "opencode": opencodeWorks, "git gate": gateFromItsDockerfile,
	} {
		t.Run(name, func(t *testing.T) { run(t, hold) })
	}
}

// buildLimit bounds one build.
const buildLimit = 4 * time.Minute

func claudeFromItsDockerfile(t *testing.T, hold holder) {
	model := standin.NewAnthropic(standin.Bash("claude --version; id -un; command -v git curl rg"), standin.Say("I am done."))
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: model}})
	hold(t, w, "claude")
	w.bottle("workspace: copy\n", claude.Host)
	w.builtAndWorks(t, pinned.FindStringSubmatch(dockerfileOf(t, claude.Provider{}))[1], model.Results)
}

func codexFromItsDockerfile(t *testing.T, hold holder) {
	model := standin.NewOpenAI(standin.Bash("codex --version; id -un; command -v git curl rg"), standin.Say("I am done."))
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{codex.ChatHost: model, codex.APIHost: model}})
	hold(t, w, "codex")
	w.codexLogin(time.Now().Add(time.Hour), "first")
	w.bottle(codexLoginBottle, codex.ChatHost, codex.APIHost)
	w.builtAndWorks(t, pinned.FindStringSubmatch(dockerfileOf(t, codex.Provider{}))[1], model.Results)
}

// gateFromItsDockerfile installs git in the gate's image, on a base that has none.
func gateFromItsDockerfile(t *testing.T, hold holder) {
	w, _ := gatedWorld(t, "exit 0\n")
	hold(t, w, "")
	w.env["BOT_BOTTLE_BASE_IMAGE"] = dockerEngine.imageOf(t, "company-without-git", "FROM "+w.env["BOT_BOTTLE_BASE_IMAGE"]+"\nRUN dpkg --purge --force-all git\n", nil)
	r := w.headless("x")
	if r.code != 0 || r.out != "hello\n" || !strings.Contains(r.err, "building the image bot-bottle-git-base:") {
		t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
}

// builtAndWorks starts a bottle, which makes its image, and looks at what the agent saw in it.
func (w *world) builtAndWorks(t *testing.T, version string, results func() []standin.ToolResult) {
	t.Helper()
	r := w.headless("do the thing")
	if r.code != 0 || !strings.Contains(r.out, "I am done.") || !strings.Contains(r.err, "building the image ") {
		t.Fatalf("exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	got := results()
	if len(got) != 1 {
		t.Fatalf("tool results: %+v", got)
	}
	for _, want := range []string{version, "node\n", "/git\n", "/curl\n", "/rg"} {
		if !strings.Contains(got[0].Content, want) {
			t.Errorf("there is no %q: %s", want, got[0].Content)
		}
	}
}

// registryAnswers is nil where npm, as it is configured here, knows a package.
func registryAnswers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "npm", "view", "@anthropic-ai/claude-code", "name").CombinedOutput(); err != nil {
		return fmt.Errorf("npm view: %w: %s", err, out)
	}
	return nil
}

// settings of npm, and variables, that a base image carries over from this machine.
var (
	npmSettings = map[string]string{"registry": "NPM_CONFIG_REGISTRY", "proxy": "NPM_CONFIG_PROXY", "https-proxy": "NPM_CONFIG_HTTPS_PROXY"}
	variables   = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
)

// companyImage is the image with node and npm, with this machine's certificates and settings in it.
func companyImage(t *testing.T) string {
	t.Helper()
	node, err := dockerEngine.engine.NodeImage()
	need.Require(t, need.Docker, err)
	bundle, err := hostCertificates()
	need.Require(t, need.Registry, err)
	text := "FROM " + node + "\nCOPY company.pem /etc/ssl/certs/ca-certificates.crt\n" +
		"ENV NPM_CONFIG_CAFILE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt\n"
	for setting, variable := range npmSettings {
		out, err := exec.CommandContext(t.Context(), "npm", "config", "get", setting).Output()
		if value := strings.TrimSpace(string(out)); err == nil && value != "" && value != "null" && value != "undefined" {
			text += "ENV " + variable + "=" + value + "\n"
		}
	}
	for _, name := range variables {
		if value := os.Getenv(name); value != "" {
			text += "ENV " + name + "=" + value + "\n"
		}
	}
	return dockerEngine.imageOf(t, "company", text, map[string]string{"company.pem": bundle})
}

// hostCertificates is the file of this machine's trusted certificates.
func hostCertificates() (string, error) {
	for _, path := range []string{os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", errors.New("this machine keeps its certificates where nobody looks for them")
}
