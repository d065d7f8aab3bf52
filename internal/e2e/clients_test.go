package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// client is a program that must simply work. HOST in its script is where it goes: a host that is
// allowed, then one that is not, then one of which only other paths are allowed, always on the
// same paths.
type client struct {
	name    string
	program string // that must be there
	host    string // below test.example
	script  string
	// direct clients know no proxy variable; their one way is the transparent one.
	direct bool
	// body: it prints what an error's answer says, so that the reason can be read.
	body bool
	// bytes: it makes no requests, so no path can be refused.
	bytes bool
}

const python = "/usr/bin/python3" // Debian's, which has the modules

func clients() []client {
	return []client{
		{name: "curl h1", program: "curl", host: "web", body: true, script: `curl -sS --fail-with-body --http1.1 https://HOST/a`},
		{name: "curl h2", program: "curl", host: "web", body: true, script: `set -o pipefail; curl -sS --fail-with-body --http2 -w '%{http_version}\n' https://HOST/a | tee out && grep -q ^2 out`},
		{name: "wget", program: "wget", host: "web", body: true, script: `wget -nv -O- --tries=1 --content-on-error https://HOST/a`},
		{name: "git", program: "git", host: "git", script: `git clone -q https://HOST/app.git got && git -C got log --format=%s`},
		{name: "npm", program: "npm", host: "npm", script: `npm install --registry=https://HOST/ --no-audit --no-fund --no-update-notifier --fetch-retries=0 --cache=$PWD/cache --prefix=$PWD tiny && cat node_modules/tiny/hello.txt`},
		{name: "pip", program: python, host: "pip", script: python + ` -m pip install -vv --disable-pip-version-check --no-cache-dir --retries 0 --index-url https://HOST/simple/ --target got tiny && ` + python + ` got/tiny.py`},
		{name: "go", program: "go", host: "go", script: `export PATH=$PATH:/usr/local/go/bin GOPROXY=https://HOST GONOSUMDB='*' GOSUMDB=off GOTOOLCHAIN=local GOFLAGS=-modcacherw GOPATH=$PWD/path GOCACHE=$PWD/cache; go mod download -json test.example/tiny@v1.0.0 && cat path/pkg/mod/test.example/tiny@v1.0.0/hello.go`},
		{name: "requests", program: python, host: "web", body: true, script: python + ` -c 'import requests; r = requests.get("https://HOST/a", timeout=20); print(r.status_code, r.text); r.raise_for_status()'`},
		{name: "httpx", program: python, host: "web", body: true, script: python + ` -c 'import httpx; r = httpx.Client(http2=True, verify="/etc/ssl/certs/ca-certificates.crt").get("https://HOST/a"); print(r.http_version, r.status_code, r.text); r.raise_for_status()'`},
		{name: "node fetch", program: "node", host: "web", direct: true, body: true, script: `node -e 'fetch("https://HOST/a").then(async r => { console.log(r.status, await r.text()); process.exit(r.ok ? 0 : 1) }, e => { console.error(e, e.cause); process.exit(1) })'`},
		{name: "undici", program: "node", host: "web", body: true, script: `NODE_PATH=~/workspace/node_modules node -e 'const u = require("undici"); u.setGlobalDispatcher(new u.EnvHttpProxyAgent()); u.request("https://HOST/a").then(async r => { console.log(r.statusCode, await r.body.text()); process.exit(r.statusCode == 200 ? 0 : 1) }, e => { console.error(e); process.exit(1) })'`},
		{name: "java", program: "javac", host: "web", direct: true, body: true, script: `java -Xshare:auto -XX:TieredStopAtLevel=1 ~/workspace/Get.java https://HOST/a`},
		{name: "go websocket", program: "go", host: "ws", script: `~/workspace/gows wss://HOST/ws`},
		{name: "node websocket", program: "node", host: "ws", direct: true, script: `NODE_PATH=~/workspace/node_modules node -e 'const W = require("ws"); const w = new W("wss://HOST/ws"); w.on("open", () => w.send("` + hello + `")); w.on("message", m => { console.log(String(m)); process.exit(0) }); w.on("error", e => { console.error(e.message); process.exit(1) })'`},
		{name: "grpc", program: python, host: "grpc", script: `cat > c.py <<'END'
import grpc, sys
trust = grpc.ssl_channel_credentials(open("/etc/ssl/certs/ca-certificates.crt", "rb").read())
try:
    with grpc.secure_channel("HOST:443", trust) as channel:
        print(channel.unary_unary("/test.Test/Say")(b"\x00 who \xff", timeout=20).decode())
except grpc.RpcError as e:
    sys.exit(f"{e.code()} {e.details()}")
END
` + python + ` c.py`},
		{name: "go grpc", program: "go", host: "grpc", script: `~/workspace/grpcclient dns:///HOST:443 && echo "` + hello + `"`},
		{name: "psql", program: "psql", host: "db", direct: true, bytes: true, script: `PGCONNECT_TIMEOUT=15 PGSSLMODE=prefer psql -h HOST -U agent -d app -Atc 'select says'`},
	}
}

// TestClientsSimplyWork runs each real program in one bottle, by the proxy variables and without,
// to a host that is allowed and to one that is not.
func TestClientsSimplyWork(t *testing.T) {
	needNative(t)
	needClients(t)
	hosts := map[string]http.Handler{
		"web.test.example": saysHello(), "npm.test.example": npmRegistry(t), "pip.test.example": pythonIndex(t),
		"go.test.example": goProxy(t), "git.test.example": gitServer(t), "ws.test.example": standin.Echo(), "grpc.test.example": grpcServer(),
	}
	w := newWorld(t, standin.Config{Hosts: hosts})
	routes := []string{claude.Host}
	for host := range hosts {
		if host == "git.test.example" {
			host += "\ngit: fetch"
		}
		routes = append(routes, host)
	}
	routes = append(routes, "\"*.narrow.example\"\ngit: fetch\nmatches: [{paths: [{type: prefix, value: /elsewhere/}]}]")
	slices.Sort(routes)
	w.bottle("workspace: copy\n", routes...)
	w.withDatabase()
	w.agent("echo running; exec sleep 100000\n")
	w.furnishClients()
	b, id := w.running()
	defer b.stopped(w, id)
	var all sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, c := range clients() {
		for _, way := range c.ways() {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				worked := w.clientWorks(id, c, way)
				for _, f := range c.refusals() {
					w.clientIsRefused(id, c, way, f, worked)
				}
			})
		}
	}
	all.Wait()
	w.refusalsAreTold(id)
}

func (c client) ways() []string {
	if c.direct {
		return []string{"transparent"}
	}
	return []string{"proxy", "transparent"}
}

func (c client) refusals() []refusal {
	if c.bytes {
		return []refusal{noHost}
	}
	return []refusal{noHost, noPath}
}

// inClient runs a client's script in a directory of its own.
func (w *world) inClient(id string, c client, way, host string) (result, time.Duration) {
	script := "mkdir -p ~/runs && cd $(mktemp -d ~/runs/XXXXXX) && " + strings.ReplaceAll(c.script, "HOST", host)
	if way == "transparent" {
		script = "unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY; " + script
	}
	began := time.Now()
	r := w.run("exec", id, "--", "timeout", "60", "bash", "-c", "{ "+script+"; } 2>&1")
	return r, time.Since(began)
}

// clientWorks returns how long it took.
func (w *world) clientWorks(id string, c client, way string) time.Duration {
	r, took := w.inClient(id, c, way, c.host+".test.example")
	if r.code != 0 || !strings.Contains(r.out, hello) {
		w.t.Errorf("%s, %s: exit %d\n%s%s", c.name, way, r.code, r.out, r.err)
	}
	return took
}

// tooLong is when a refusal counts as a client that hangs. Most take a tenth of a second; what a
// client takes to start, a Java machine most of all, is known from when it worked.
func tooLong(worked time.Duration) time.Duration { return 8*time.Second + 2*worked }

// refusal is a way not to be let through.
type refusal struct {
	name   string
	suffix string // of the host
	says   string // in the operator's log
}

var (
	noHost = refusal{"a host that is not allowed", ".evil.example", "no route"}
	noPath = refusal{"a path that is not allowed", ".narrow.example", "path"}
)

func (f refusal) host(c client, way string) string {
	return strings.ReplaceAll(c.name, " ", "-") + "-" + way + f.suffix
}

// unresolved are the words of clients for a name that does not exist.
var unresolved = []string{
	"not resolve", "resolve host", "resolve address", "not known", "ENOTFOUND", "no such host", "UnresolvedAddress",
	"NameResolutionError", "translate host name", "Name or service", "unable to resolve", "resolution failed", "produced zero addresses", "Temporary failure",
}

// reasons are what a client may say: behind a proxy, and for a path, it was told 403.
func (f refusal) reasons(way string) []string {
	if f == noHost && way == "transparent" {
		return unresolved
	}
	return []string{"403", "Forbidden"}
}

func (w *world) clientIsRefused(id string, c client, way string, f refusal, worked time.Duration) {
	r, took := w.inClient(id, c, way, f.host(c, way))
	w.t.Logf("%s, %s, %s: refused within %v", c.name, way, f.name, took.Round(time.Millisecond))
	if r.code == 0 || strings.Contains(r.out, hello) || took > tooLong(worked) {
		w.t.Errorf("%s, %s, %s: exit %d after %v\n%s%s", c.name, way, f.name, r.code, took, r.out, r.err)
	}
	says := func(text string) bool { return strings.Contains(r.out, text) }
	if !slices.ContainsFunc(f.reasons(way), says) {
		w.t.Errorf("%s, %s, %s: no reason\n%s", c.name, way, f.name, r.out)
	}
	if f == noPath && c.body && (!says(`"rule_missing"`) || !says(`"guidance"`)) {
		w.t.Errorf("%s, %s, %s: the answer is not the refusal\n%s", c.name, way, f.name, r.out)
	}
}

// refusalsAreTold looks for each refused name in the operator's log, with its reason.
func (w *world) refusalsAreTold(id string) {
	w.t.Helper()
	log := w.run("log", id, "--verdict", "deny").out
	for _, c := range clients() {
		for _, way := range c.ways() {
			for _, f := range c.refusals() {
				told := false
				for line := range strings.Lines(log) {
					told = told || strings.Contains(line, f.host(c, way)) && strings.Contains(line, f.says)
				}
				if !told {
					w.t.Errorf("the log does not say why %s was refused", f.host(c, way))
				}
			}
		}
	}
}

// furnishClients brings into the workspace what a bottle has not got from its host.
func (w *world) furnishClients() {
	w.t.Helper()
	for _, name := range []string{"ws", "undici"} {
		check(w.t, os.CopyFS(filepath.Join(w.project, "node_modules", name), os.DirFS(npmPackage(w.t, name))))
	}
	source, err := os.ReadFile("testdata/clients/Get.java")
	check(w.t, err)
	w.file(filepath.Join(w.project, "Get.java"), string(source), 0o644)
	for name, dir := range map[string]string{"gows": "testdata/clients/gows", "grpcclient": "../../tools/grpcclient"} {
		build := exec.Command("go", "build", "-C", dir, "-o", filepath.Join(w.project, name), ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			w.t.Fatalf("cannot build %s: %v\n%s", name, err, out)
		}
	}
}

func npmPackage(t *testing.T, name string) string {
	t.Helper()
	dir, err := need.NPMPackage(name)
	need.Require(t, need.Clients, err)
	return dir
}

// needClients goes on where every client is there.
func needClients(t *testing.T) {
	t.Helper()
	var missing []error
	for _, c := range clients() {
		if _, err := exec.LookPath(c.program); err != nil {
			missing = append(missing, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	for _, module := range []string{"pip", "requests", "httpx", "h2", "grpc"} {
		if err := exec.Command(python, "-c", "import "+module).Run(); err != nil {
			missing = append(missing, fmt.Errorf("Python's %s: %w", module, err))
		}
	}
	for _, name := range []string{"ws", "undici"} {
		_, err := need.NPMPackage(name)
		missing = append(missing, err)
	}
	if err := exec.Command("go", "list", "-C", "../../tools/grpcclient", "-deps", ".").Run(); err != nil {
		missing = append(missing, fmt.Errorf("the modules of the gRPC client: %w; run scripts/setup test", err))
	}
	need.Require(t, need.Clients, errors.Join(missing...))
}
