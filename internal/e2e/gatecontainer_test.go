package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
)

// gatedWorld has a bottle in a container whose agent clones a repository through the gate, and then
// runs a script in the clone.
func gatedWorld(t *testing.T, script string) (*world, *gatetest.Upstream) {
	t.Helper()
	up := gatetest.New(t)
	up.Repository("app")
	w := containerWorld(t, "cd ~; rm -rf app; git clone -q "+up.URL("app")+" app && cd app && cat README\n"+script)
	dockerfile := filepath.Join(w.dir, "image", "Dockerfile")
	w.bottle(gitBottle(up, "workspace: copy\nsupervise: false\nagent_provider: {template: claude, dockerfile: "+dockerfile+"}\n"), claude.Host)
	return w, up
}

const gateWaits = "echo running; exec sleep 100000\n"

// gateContainer is how an engine describes the gate's container.
type gateContainer struct {
	State  struct{ Pid int }
	Config struct {
		User string
		Env  []string
		Cmd  []string
	}
	Mounts     []struct{ Type, Name, Source, Destination string }
	HostConfig struct {
		NetworkMode, PidMode, IpcMode string
		Privileged, ReadonlyRootfs    bool
		CapAdd, CapDrop, SecurityOpt  []string
		Binds                         []string
		PidsLimit, Memory             int64
		Devices                       []any
	}
}

// theGate asks the engine for the container of the gate of the one bottle there is.
func (w *world) theGate() (c gateContainer, raw string) {
	w.t.Helper()
	var said json.RawMessage
	name := "bot-bottle-" + w.only().Identity + "-git"
	if err := dockerEngine.engine.Call(w.t.Context(), http.MethodGet, "/containers/"+name+"/json", nil, &said); err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(said, &c); err != nil {
		w.t.Fatal(err)
	}
	return c, string(said)
}

// probingGit is a git that, before it lists refs, tries what must fail, and leaves in the mirror what did not.
const probingGit = `#!/bin/bash
if [ "$1" = for-each-ref ] && [ ! -e "$GIT_DIR/probe" ]; then
  {
    echo "pid $$ user $(id -u)"
    (: <>/dev/tcp/127.0.0.1/%s) && echo "open: the network"
    for f in /proc/1/environ /proc/1/mem /proc/1/status; do head -c 1 $f && echo "open: $f"; done
    for f in /x /tmp/x /.bot-bottle/x /.bot-bottle/mirrors/9/x; do (echo x >$f) && echo "open: writing $f"; done
    unshare -m true && echo "open: mount namespaces"
    unshare -U true && echo "open: more namespaces"
    env | grep -q KEY----- && echo "open: the key"
    echo done
  } >"$GIT_DIR/probe" 2>/dev/null
fi
exec /usr/bin/git "$@"
`

// TestThePostureOfTheGatesContainer looks at a live one: from the engine, from the kernel, and from a
// git that it runs.
func TestThePostureOfTheGatesContainer(t *testing.T) {
	w, up := gatedWorld(t, gateWaits)
	git := filepath.Join(w.dir, "probing-git")
	w.file(git, fmt.Sprintf(probingGit, up.Port), 0o755)
	w.env["BOT_BOTTLE_GIT_IMAGE"] = dockerEngine.imageOf(t, "probing-git", "FROM "+enginetest.Image+"\nCOPY git /usr/local/bin/git\n", map[string]string{"git": git})
	dockerEngine.forget("probing-git") // its port is this test's
	b := w.begin()
	b.says("running\n")
	c, raw := w.theGate()

	h := c.HostConfig
	if c.Config.User != "65532:65532" || h.Privileged || !h.ReadonlyRootfs || len(h.CapAdd) > 0 || !slices.Equal(h.CapDrop, []string{"ALL"}) {
		t.Errorf("user %q, %+v", c.Config.User, h)
	}
	if h.NetworkMode != "host" || h.PidMode != "" || h.IpcMode != "private" || h.PidsLimit <= 0 || h.Memory <= 0 || len(h.Devices) > 0 {
		t.Errorf("%+v", h)
	}
	if !slices.Contains(h.SecurityOpt, "no-new-privileges:true") || !slices.ContainsFunc(h.SecurityOpt, func(o string) bool { return strings.HasPrefix(o, "seccomp={") }) {
		t.Errorf("%q", h.SecurityOpt)
	}
	if len(h.Binds) > 0 || len(c.Mounts) != 2 {
		t.Errorf("mounts %+v, binds %q", c.Mounts, h.Binds)
	}
	var mirror string
	for _, m := range c.Mounts {
		if m.Type != "volume" || !strings.HasPrefix(m.Destination, "/.bot-bottle/") {
			t.Errorf("it has %+v", m)
		}
		if m.Destination == "/.bot-bottle/mirrors/0" {
			mirror = m.Source
		}
	}
	w.holdsNothing(t, raw, up)

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.State.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532", "NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000"} {
		if !strings.Contains(string(status), want+"\n") {
			t.Errorf("there is no %q in\n%s", want, status)
		}
	}
	found, err := os.ReadFile(filepath.Join(mirror, "repo.git", "probe"))
	if err != nil || string(found) != "pid 1 user 65534\ndone\n" {
		t.Errorf("what a git finds: %v\n%s", err, found)
	}
	b.signal(syscall.SIGTERM)
	b.wait()
	w.clean("--preserved")
}

// forget has an image be made again by who needs it next.
func (e *ownEngine) forget(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.made, "bot-bottle-test:"+name)
}

// holdsNothing looks for the gate's values where anybody who may ask the engine sees them.
func (w *world) holdsNothing(t *testing.T, inspected string, up *gatetest.Upstream) {
	t.Helper()
	key, err := os.ReadFile(up.Key)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(string(key), "\n")[2]
	seen := inspected
	for pid, argv := range commandLines() {
		if strings.Contains(argv, "gate container") {
			environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			seen += argv + string(environ)
		}
	}
	for name, value := range map[string]string{"the key": line, "the agent's token": w.token(), "a private key": "PRIVATE KEY"} {
		if strings.Contains(seen, value) {
			t.Errorf("%s can be seen at the engine", name)
		}
	}
}

// TestTheGatesContainerAndItsBottleEndTogether kills one and wants the other to end.
func TestTheGatesContainerAndItsBottleEndTogether(t *testing.T) {
	for _, victim := range []string{"the gate", "the sidecar"} { // the command line: below
		t.Run(victim, func(t *testing.T) {
			w, _ := gatedWorld(t, gateWaits)
			b := w.begin()
			b.says("running\n")
			if n := runningContainers(t); n != 3 {
				t.Errorf("%d containers run", n)
			}
			id := w.only().Identity
			switch victim {
			case "the gate":
				killContainer(t, "bot-bottle-"+id+"-git")
			case "the sidecar":
				killContainer(t, "bot-bottle-"+id+"-sidecar")
			}
			b.wait()
			eventually(t, "no container runs", func() bool { return runningContainers(t) == 0 })
			if got := w.only(); got != (row{id, "kept"}) {
				t.Errorf("it is %+v", got)
			}
			w.clean("--preserved")
			w.stateIs()
		})
	}
}

// killContainer ends a container of the tests' engine.
func killContainer(t *testing.T, name string) {
	t.Helper()
	if err := dockerEngine.engine.Call(t.Context(), http.MethodPost, "/containers/"+name+"/kill", nil, nil); err != nil {
		t.Fatal(err)
	}
}

// TestACommandLineKilledBesideTheGatesContainer kills it where the gate is there and was told nothing
// yet, and where it serves.
func TestACommandLineKilledBesideTheGatesContainer(t *testing.T) {
	for _, phase := range []string{"sidecar", "self-check"} {
		t.Run("before "+phase, func(t *testing.T) {
			w, _ := gatedWorld(t, gateWaits)
			c, gate := w.hold(phase, append(startArgs, "x")...)
			b := w.spawn(c)
			gate.reached()
			b.signal(syscall.SIGKILL)
			b.wait()
			eventually(t, "no container runs", func() bool { return runningContainers(t) == 0 })
			if got := w.only(); got.State != "left over" {
				t.Errorf("it is %+v", got)
			}
			if got := w.mirrorVolumes(); len(got) != 1 {
				t.Errorf("before the cleanup there are the mirrors %q", got)
			}
			// The dead container still has the mirror: one cleanup takes both.
			r := w.clean("--preserved")
			if got := w.mirrorVolumes(); !strings.Contains(r.out, "volume with the mirror of") || len(got) != 0 {
				t.Errorf("cleanup left %q:\n%s", got, r.out)
			}
			w.stateIs()
		})
	}
}

// TestBottlesShareAMirrorInItsVolume runs two at once, then resumes one: none of them fetches again
// what is there, and each pushes its own.
func TestBottlesShareAMirrorInItsVolume(t *testing.T) {
	w, up := gatedWorld(t, `git config user.name Bot; b=bottle/$(hostname)
git commit -q --allow-empty -m mine && git push -q origin HEAD:refs/heads/$b/x-$RANDOM; echo "pushed: $?"; exit 3
`)
	first, second := w.begin(), w.begin()
	for _, b := range []*background{first, second} {
		if r := b.wait(); r.code != 3 || !strings.Contains(r.out, "hello\npushed: 0\n") {
			t.Fatalf("exit %d\n%s\n%s", r.code, r.out, r.err)
		}
	}
	id := w.list()[0].Identity
	if r := w.run("resume", id, "--yes", "--headless", "--prompt", "x"); r.code != 3 || !strings.Contains(r.out, "hello\npushed: 0\n") {
		t.Errorf("resume: exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	if n := up.Pushes(); n != 3 {
		t.Errorf("%d pushes reached the upstream", n)
	}
	if got := len(w.mirrorVolumes()); got != 1 {
		t.Errorf("there are %d volumes of mirrors", got)
	}
	if r := w.clean(); strings.Contains(r.out, "mirror") || strings.Contains(r.out, "git") || len(w.mirrorVolumes()) != 1 {
		t.Errorf("cleanup takes what the next start needs: %s", r.out)
	}
	r := w.clean("--preserved")
	for _, want := range []string{"volume with the mirror of ssh://" + up.Host, "bot-bottle-git:"} { // what is below it may be another home's
		if !strings.Contains(r.out, want) {
			t.Errorf("cleanup says nothing of %q:\n%s", want, r.out)
		}
	}
	if got := w.mirrorVolumes(); len(got) != 0 {
		t.Errorf("left in the engine: %q", got)
	}
}

// mirrorVolumes are those of this world's home.
func (w *world) mirrorVolumes() []string {
	w.t.Helper()
	found, err := dockerEngine.engine.Client.Volumes(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	root := sha256.Sum256([]byte(filepath.Join(w.home, "state")))
	for _, v := range found {
		if strings.HasPrefix(v.Name, "bot-bottle-git-"+hex.EncodeToString(root[:6])+"-") {
			names = append(names, v.Name)
		}
	}
	return names
}

// TestAGateThatCannotBeMade says what to do, and leaves nothing.
func TestAGateThatCannotBeMade(t *testing.T) {
	w, _ := gatedWorld(t, gateWaits)
	for name, tc := range map[string]struct {
		env  map[string]string
		says []string
	}{
		"an image that is not there": {map[string]string{"BOT_BOTTLE_GIT_IMAGE": "bot-bottle-test:none"}, []string{`there is no image "bot-bottle-test:none"`, "BOT_BOTTLE_GIT_IMAGE"}},
		"no registry":                {map[string]string{"BOT_BOTTLE_BASE_IMAGE": "127.0.0.1:1/none"}, []string{"cannot build the image of the git gate", "BOT_BOTTLE_GIT_IMAGE", "BOT_BOTTLE_GIT_GATE=host"}},
		"an image without git": {
			map[string]string{"BOT_BOTTLE_GIT_IMAGE": dockerEngine.imageOf(t, "no-git", "FROM "+enginetest.Image+"\nRUN rm /usr/bin/git\n", nil)},
			[]string{"there is no git in the image of the git gate", "hint: name one that has it in BOT_BOTTLE_GIT_IMAGE"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.env
			w.env = map[string]string{}
			for _, from := range []map[string]string{before, tc.env} {
				for k, v := range from {
					w.env[k] = v
				}
			}
			defer func() { w.env = before }()
			r := w.headless("x")
			if r.code != 125 {
				t.Errorf("exit %d", r.code)
			}
			for _, want := range tc.says {
				if !strings.Contains(r.err, want) {
					t.Errorf("it does not say %q:\n%s", want, r.err)
				}
			}
			w.stateIs()
		})
	}
}

// TestTheGateOnTheHostServesAContainer runs it as a process, as the operator may choose on Linux.
func TestTheGateOnTheHostServesAContainer(t *testing.T) {
	w, _ := gatedWorld(t, "exit 0\n")
	w.env["BOT_BOTTLE_GIT_GATE"] = "host"
	w.env["BOT_BOTTLE_GIT_IMAGE"] = "bot-bottle-test:none" // nobody asks for it
	if r := w.headless("x"); r.code != 0 || r.out != "hello\n" {
		t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
}

// TestADeployKeyOpensItsRepositoryInAContainer has a mirror that is the run's own, and so no volume that
// outlives it.
func TestADeployKeyOpensItsRepositoryInAContainer(t *testing.T) {
	up := gatetest.New(t)
	up.Repository("app")
	w := containerWorld(t, fmt.Sprintf(deployScript, up.URL("app")))
	f := newForge(t, w, up)
	manifest := filepath.Join(w.home, "bottles", "work.md")
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	own := "supervise: false\nagent_provider: {template: claude, dockerfile: " + filepath.Join(w.dir, "image", "Dockerfile") + "}\n"
	w.file(manifest, strings.Replace(string(text), "supervise: false\n", own, 1), 0o600)
	if r := w.headless("work"); r.code != 0 || !strings.Contains(r.out, "pushed: 0\n") {
		t.Errorf("exit %d\n%s\n%s", r.code, r.out, r.err)
	}
	if n := f.count(); n != 0 {
		t.Errorf("%d keys are left at the forge", n)
	}
	if left := w.mirrorVolumes(); len(left) > 0 {
		t.Errorf("left in the engine: %q", left)
	}
}
