package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// patientWorld has an agent that says "running" and waits to be ended.
func patientWorld(t *testing.T) *world {
	t.Helper()
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.bottle("workspace: copy\n", claude.Host)
	w.agent("trap 'echo asked to end; exit 0' TERM INT HUP\necho $$ > ~/workspace/mark\necho running\nwhile :; do read -t 1000 <> <(:); done\n")
	return w
}

// running starts a patient agent and returns its identity when it runs.
func (w *world) running() (*background, string) {
	w.t.Helper()
	b := w.begin()
	b.says("running\n")
	r := w.only()
	if r.State != "running" {
		w.t.Fatalf("%+v", r)
	}
	return b, r.Identity
}

func TestARunningBottleIsNotResumed(t *testing.T) {
	w := patientWorld(t)
	b, id := w.running()
	r := w.run("resume", id, "--yes", "--headless", "--prompt", "x")
	if r.code != 125 || !strings.Contains(r.err, "it is running") || !strings.Contains(r.err, "bot-bottle attach "+id) {
		t.Errorf("exit %d\n%s", r.code, r.err)
	}
	if r := w.run("cleanup", id, "--yes"); r.code != 11 {
		t.Errorf("cleanup of a running one: exit %d\n%s", r.code, r.err)
	}
	if r := w.clean("--preserved"); r.out != "" {
		t.Errorf("cleanup lists a running one: %s", r.out)
	}
	if r := w.run("stop", id); r.code != 0 {
		t.Errorf("stop: exit %d\n%s", r.code, r.err)
	}
	b.wait()
}

func TestOfRacingResumesOneWins(t *testing.T) {
	w := patientWorld(t)
	b, id := w.running()
	b.signal(syscall.SIGINT)
	b.wait()
	const racers = 6
	all := make([]*background, racers)
	for i := range all {
		all[i] = w.spawn(w.command(context.Background(), "resume", id, "--yes", "--headless", "--prompt", "x"))
	}
	eventually(t, "all but one gave up", func() bool {
		over := 0
		for _, b := range all {
			select {
			case <-b.ended:
				over++
			default:
			}
		}
		return over >= racers-1
	})
	won := 0
	for _, b := range all {
		select {
		case <-b.ended:
			if r := b.wait(); r.code != 125 || !strings.Contains(r.err, "is running") {
				t.Errorf("a loser: exit %d\n%s", r.code, r.err)
			}
		default:
			won++
			b.says("running\n")
		}
	}
	if won != 1 || len(w.processes()) != 2 {
		t.Errorf("%d won; there run %q", won, w.processes())
	}
	if r := w.run("stop", id); r.code != 0 {
		t.Errorf("stop: exit %d\n%s", r.code, r.err)
	}
	w.dead(nil)
	if r := w.only(); r.State != "kept" {
		t.Errorf("%+v", r)
	}
}

func TestResumeWhileStopping(t *testing.T) {
	w := patientWorld(t)
	for _, phase := range []string{"teardown", "settle"} {
		c, gate := w.hold(phase, append(startArgs, "x")...)
		b := w.spawn(c)
		b.says("running\n")
		id := w.only().Identity
		b.signal(syscall.SIGTERM)
		gate.reached()
		if r := w.run("resume", id, "--yes", "--headless", "--prompt", "x"); r.code != 125 || !strings.Contains(r.err, "is running") {
			t.Errorf("before %s: exit %d\n%s", phase, r.code, r.err)
		}
		gate.open()
		if got := b.wait().kept(t); got != id {
			t.Errorf("kept %s, want %s", got, id)
		}
		w.clean("--preserved")
		w.nothingIsLeft(nil)
	}
}

func TestExecInARunningBottle(t *testing.T) {
	w := patientWorld(t)
	w.env["OF_THE_CALLER"] = "x"
	b, id := w.running()
	if r := w.run("exec", id, "--", "sh", "-c", "echo out; echo err >&2; exit 9"); r.code != 9 || r.out != "out\n" || r.err != "err\n" {
		t.Errorf("%+v", r)
	}
	if r := w.run("exec", id, "--", "pwd"); r.out != "/home/node/workspace\n" {
		t.Errorf("it starts in %+v", r)
	}
	if r := w.run("exec", "-w", "/tmp", id, "--", "pwd"); r.out != "/tmp\n" {
		t.Errorf("with -w it starts in %+v", r)
	}
	if r := w.run("exec", id, "--", "env"); strings.Contains(r.out, "OF_THE_CALLER") || !strings.Contains(r.out, "HOME=/home/node\n") {
		t.Errorf("its environment: %s", r.out)
	}
	if r := w.run("exec", id, "--", "no-such-program"); r.code != 125 && r.code != 127 {
		t.Errorf("of no program: %+v", r)
	}
	c := w.command(context.Background(), "exec", id, "--", "sha256sum")
	const size = 50 << 20
	c.Stdin = io.LimitReader(endless{}, size)
	sum := sha256.New()
	_, _ = io.CopyN(sum, endless{}, size)
	if r := w.spawn(c).wait(); !strings.HasPrefix(r.out, hex.EncodeToString(sum.Sum(nil))) {
		t.Errorf("50 MB of stdin arrived otherwise: %+v", r)
	}
	if r := w.run("exec", id, "--", "head", "-c", "50000000", "/dev/zero"); r.code != 0 || len(r.out) != 50000000 || strings.Trim(r.out, "\x00") != "" {
		t.Errorf("of 50 MB came %d, exit %d", len(r.out), r.code)
	}
	if r := w.run("stop", id); r.code != 0 {
		t.Errorf("stop: %+v", r)
	}
	if r := w.run("exec", id, "--", "true"); r.code != 125 || !strings.Contains(r.err, "is not running") || !strings.Contains(r.err, "resume "+id) {
		t.Errorf("exec in a stopped one: %+v", r)
	}
	b.wait()
}

// endless is a stream of bytes that are not all alike.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i * i >> 3)
	}
	return len(p) / 4096 * 4096, nil
}

func TestAttachFromAnotherProcess(t *testing.T) {
	w := patientWorld(t)
	b, id := w.running()
	c := w.command(context.Background(), "attach", id)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	a := w.spawn(c)
	a.says("running\n") // what came before is shown
	_ = in.Close()
	if r := a.wait(); r.code != 0 {
		t.Errorf("leaving: %+v", r)
	}
	if r := w.only(); r.State != "running" {
		t.Errorf("leaving ended it: %+v", r)
	}
	b.signal(syscall.SIGINT)
	b.wait()
}

func TestStopAsksThenKills(t *testing.T) {
	t.Run("an agent that ends when asked", func(t *testing.T) {
		w := patientWorld(t)
		b, id := w.running()
		if r := w.run("stop", id); r.code != 0 {
			t.Errorf("%+v", r)
		}
		if r := b.wait(); r.code != 0 || !strings.Contains(r.out, "asked to end") {
			t.Errorf("%+v", r)
		} else if r.kept(t) != id { // its workspace changed
			t.Errorf("%+v", r)
		}
		w.dead(nil)
	})
	t.Run("an agent that does not", func(t *testing.T) {
		w := patientWorld(t)
		w.agent("trap '' TERM INT HUP\necho running\nwhile :; do read -t 1000 <> <(:); done\n")
		b, id := w.running()
		began := time.Now()
		if r := w.run("stop", "-t", "1s", id); r.code != 0 {
			t.Errorf("%+v", r)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("killed after %v", took)
		}
		if r := b.wait(); r.code != 137 || r.kept(t) != id {
			t.Errorf("%+v", r)
		}
		w.dead(nil)
	})
	t.Run("one that does not run", func(t *testing.T) {
		w := patientWorld(t)
		if r := w.run("stop", "work-zzzzz"); r.code != 10 || !strings.Contains(r.err, `no bottle "work-zzzzz"`) {
			t.Errorf("%+v", r)
		}
	})
}

func TestInterruptsEndTheRunAndKeepIt(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			w := patientWorld(t)
			b, id := w.running()
			b.signal(s)
			if r := b.wait(); r.code != 130 || r.kept(t) != id || !strings.Contains(r.out, "asked to end") {
				t.Errorf("%+v", r)
			}
			w.dead(nil)
			if r := w.only(); r != (row{id, "kept"}) {
				t.Errorf("%+v", r)
			}
		})
	}
	for _, phase := range []string{"prepare", "sidecar", "self-check", "provision", "agent"} {
		t.Run("before "+phase, func(t *testing.T) {
			w := patientWorld(t)
			c, gate := w.hold(phase, append(startArgs, "x")...)
			b := w.spawn(c)
			gate.reached()
			b.signal(syscall.SIGINT)
			gate.open()
			r := b.wait()
			w.dead(nil)
			if r.code != 130 {
				t.Errorf("%+v", r)
			}
			w.clean("--preserved")
			w.nothingIsLeft(nil)
		})
	}
}

func TestACleanEndKeepsOnlyWhatChanged(t *testing.T) {
	w := patientWorld(t)
	w.file(filepath.Join(w.project, "a", "file"), "text\n", 0o644)
	w.agent("cat ~/workspace/a/file\n")
	if r := w.headless("x", "--cwd"); r.code != 0 || r.out != "text\n" || r.err != "" {
		t.Errorf("%+v", r)
	}
	w.nothingIsLeft(nil)
	for what, script := range map[string]string{
		"a new file": "echo > ~/workspace/new", "a deeper one": "echo > ~/workspace/a/new", "other content": "echo TEXT > ~/workspace/a/file",
		"other content with its time put back": "t=$(stat -c %y ~/workspace/a/file); echo TEXT > ~/workspace/a/file; touch -d \"$t\" ~/workspace/a/file",
		"a removed file":                       "rm ~/workspace/a/file", "another mode": "chmod 755 ~/workspace/a/file", "another name": "mv ~/workspace/a/file ~/workspace/a/other",
	} {
		w.agent(script + "\n")
		r := w.headless("x", "--cwd")
		if r.code != 0 {
			t.Errorf("%s: %+v", what, r)
		}
		if !keptLine.MatchString(r.err) {
			t.Errorf("%s was lost: %+v", what, r)
		}
	}
	if got, err := os.ReadFile(filepath.Join(w.project, "a", "file")); err != nil || string(got) != "text\n" {
		t.Errorf("the project has %q, %v", got, err)
	}
}

func TestStateOnDisk(t *testing.T) {
	w := patientWorld(t)
	secretValue := "forwarded-" + strings.Repeat("z9", 12) + filepath.Base(filepath.Dir(w.dir))
	w.env["FORWARDED_TOKEN"] = secretValue
	w.bottle("workspace: copy\nenv:\n  LITERAL: a literal\n  FORWARDED: ${FORWARDED_TOKEN}\n", claude.Host)
	w.agent("echo \"sees $LITERAL $FORWARDED\" | sha256sum\necho running\n[ -e ~/again ] && exit 5; touch ~/again\ntrap 'exit 6' TERM\nwhile :; do read -t 1000 <> <(:); done\n")
	b := w.begin("--cwd", "--label", "a label", "--color", "blue")
	b.says("running\n")
	sum := sha256.Sum256([]byte("sees a literal " + secretValue + "\n"))
	if !strings.HasPrefix(b.out.String(), hex.EncodeToString(sum[:])) {
		t.Errorf("the agent saw other values: %s", b.out.String())
	}
	id := w.only().Identity
	dir := filepath.Join(w.home, "state", id)
	checkModes(t, dir)
	w.nowhereOnTheHost(secretValue)
	w.nowhereOnTheHost(w.token())
	if got, err := os.ReadFile(filepath.Join(dir, "agent", "agent.env")); err != nil || !strings.Contains(string(got), "LITERAL=a literal\n") || strings.Contains(string(got), "FORWARDED") {
		t.Errorf("agent.env: %q, %v", got, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "agent", "prompt.txt")); err != nil || strings.TrimSpace(string(got)) != "Say what you see." {
		t.Errorf("prompt.txt: %q, %v", got, err)
	}
	first := w.metadata(id)
	want := map[string]any{
		"identity": id, "agent_name": "work", "bottles": []any{}, "cwd": w.project, "copy_cwd": true, "started_at": first["started_at"],
		"compose_project": "bot-bottle-" + id, "backend": "native", "label": "a label", "color": "blue",
	}
	for k, v := range want {
		if got, _ := json.Marshal(first[k]); string(got) != string(must(json.Marshal(v))) {
			t.Errorf("metadata.json: %s is %s, want %v", k, got, v)
		}
	}
	if len(first) != len(want) {
		t.Errorf("metadata.json has %v", first)
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`).MatchString(first["started_at"].(string)) {
		t.Errorf("started_at %q", first["started_at"])
	}
	if r := w.run("stop", id); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if r := b.wait(); r.code != 6 || r.kept(t) != id {
		t.Errorf("%+v", r)
	}
	checkModes(t, dir)
	w.nowhereOnTheHost(secretValue)
	if r := w.run("resume", id, "--yes", "--headless", "--prompt", "x"); r.code != 5 {
		t.Errorf("resume: %+v", r)
	}
	second := w.metadata(id)
	if second["started_at"] == first["started_at"] {
		t.Error("started_at was not refreshed")
	}
	second["started_at"] = first["started_at"]
	if string(must(json.Marshal(second))) != string(must(json.Marshal(first))) {
		t.Errorf("a resume changed the record: %v, was %v", second, first)
	}
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

func (w *world) metadata(id string) map[string]any {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.home, "state", id, "metadata.json"))
	var m map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// checkModes sees that only the owner can read a state, and that nothing unknown lies in it.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	known := []string{".preserve", "agent", "audit.jsonl", "audit.seal", "dlp", "egress", "git-gate", "home", "lock", "metadata.json", "run", "supervise", "transcript"}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			t.Errorf("%s is in the state", e.Name())
		}
	}
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == filepath.Join(dir, "home") {
			return fs.SkipDir
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
}

// nowhereOnTheHost looks for a value in every file of the world and in what /proc shows of the
// program's processes outside the bottle.
func (w *world) nowhereOnTheHost(value string) {
	w.t.Helper()
	_ = filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), value) {
			w.t.Errorf("%s holds the value", path)
		}
		return nil
	})
	for pid, line := range commandLines() {
		if strings.Contains(line, value) {
			w.t.Errorf("the argv of %d holds the value", pid)
		}
		if strings.HasPrefix(line, w.title()) {
			if env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ")); err == nil && len(env) > 0 && string(env) != plan.SidecarEnv+"\x00" {
				w.t.Errorf("%q has an environment of %d bytes", line, len(env))
			}
		}
	}
}
