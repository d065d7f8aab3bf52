package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// gitToken looks like a secret and is put together by the shell in the bottle.
const gitToken = `printf '%s_%s' ghp "$(head -c 2000 /dev/urandom | base64 -w0 | tr -dc a-zA-Z0-9 | head -c 36)"`

// gitBottle declares one repository of an upstream.
func gitBottle(up *gatetest.Upstream, more string) string {
	return fmt.Sprintf(`git-gate:
  user: {name: Bot, email: bot@example.org}
  repos:
    app:
      url: %s
      key: {provider: static, path: %s}
      host_key: "%s"
      push: {refs: [main]}
%s`, up.URL("app"), up.Key, up.HostKey, more)
}

func TestGitThroughTheGate(t *testing.T) {
	needNative(t)
	up := gatetest.New(t)
	up.Repository("app")
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: standin.NewAnthropic()}})
	w.bottle(gitBottle(up, "supervise: false\n"), claude.Host)
	w.agent(gitScript(up))
	gitWorks(t, w, up)
}

func TestGitThroughTheGateInAContainer(t *testing.T) {
	up := gatetest.New(t)
	up.Repository("app")
	w := containerWorld(t, gitScript(up))
	dockerfile := filepath.Join(w.dir, "image", "Dockerfile")
	w.bottle(gitBottle(up, "supervise: false\nagent_provider: {template: claude, dockerfile: "+dockerfile+"}\n"), claude.Host)
	gitWorks(t, w, up)
}

// gitScript clones, pushes and tries what must be refused.
func gitScript(up *gatetest.Upstream) string {
	return `set -x
cd ~
git clone -q ` + up.URL("app") + ` app && cd app && cat README
git config user.name; git remote -v
echo one > one; git add one; git commit -qm one
git push origin HEAD:main; echo "pushed: $?"
echo "key=$(` + gitToken + `)" > two; git add two; git commit -qm two
git push origin HEAD:main; echo "refused: $?"
git reset -q --hard HEAD~1
git push origin HEAD:elsewhere; echo "elsewhere: $?"
git clone -q --depth 1 ` + strings.TrimSuffix(up.URL("app"), ".git") + ` ~/again; echo "shallow: $?"
git ls-remote http://git-gate.local/other/; echo "other: $?"
curl -sS -x "" http://git-gate.local/app/info/lfs/objects/batch -d {}; echo "lfs: $?"
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -c 'PRIVATE KEY'
exit 0
`
}

// gitWorks runs that script in a bottle, whatever holds it.
func gitWorks(t *testing.T, w *world, up *gatetest.Upstream) {
	t.Helper()
	r := w.headless("work")
	for _, want := range []string{"hello\n", "pushed: 0\n", "refused: 1\n", "elsewhere: 1\n", "shallow: 0\n", "other: 128\n", "Git LFS", "Bot\n"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in stdout:\n%s\nstderr:\n%s", want, r.out, r.err)
		}
	}
	for _, want := range []string{"github-pat", "file two, line 1", "no ref that this bottle may push", "declared are app"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("no %q in stderr:\n%s", want, r.err)
		}
	}
	if got := gatetest.Git(t, up.Bare("app"), "log", "--format=%s %an", "main"); got != "one Bot\nfirst A" {
		t.Errorf("the upstream has %q", got)
	}
	if n := up.Pushes(); n != 1 {
		t.Errorf("%d pushes reached the upstream, want 1", n)
	}
	for _, line := range commandLines() {
		if strings.HasPrefix(line, "bot-bottle:gate") {
			t.Errorf("a gate is left: %s", line)
		}
	}
}

// TestClaudePushesThroughTheGate runs the real program: it plants a secret, reads the refusal, and
// takes it out.
func TestClaudePushesThroughTheGate(t *testing.T) {
	needNative(t)
	binary := need.Agent(t, "claude")
	up := gatetest.New(t)
	up.Repository("app")
	model := standin.NewAnthropic(
		standin.Bash("git clone -q "+up.URL("app")+" /home/node/app && ls /home/node/app"),
		standin.Bash("cd /home/node/app && echo edited >> README && git commit -qam edit && git push origin HEAD:main 2>&1"),
		standin.Bash(`cd /home/node/app && echo "token: $(`+gitToken+`)" > config.yml && git add config.yml && git commit -qm config && git push origin HEAD:main 2>&1`),
		standin.Bash("cd /home/node/app && echo 'token: from the environment' > config.yml && git commit -qa --amend -m config && git push origin HEAD:main 2>&1"),
		standin.Say("It is pushed."),
	)
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: model}})
	if err := os.Symlink(binary, filepath.Join(w.bin, "claude")); err != nil {
		t.Fatal(err)
	}
	w.bottle(gitBottle(up, ""), claude.Host)
	r := w.headless("push your work")
	if r.code != 0 || !strings.Contains(r.out, "It is pushed.") {
		t.Fatalf("exit %d\nstdout: %s\nstderr: %s", r.code, r.out, r.err)
	}
	results := model.Results()
	if len(results) != 4 {
		t.Fatalf("%d results: %v", len(results), results)
	}
	for i, want := range []string{"README", "HEAD -> main", "github-pat", "HEAD -> main"} {
		if !strings.Contains(results[i].Content, want) {
			t.Errorf("step %d says nothing of %q:\n%s", i, want, results[i].Content)
		}
	}
	if strings.Contains(results[3].Content, "rejected") || !strings.Contains(results[2].Content, "rejected") {
		t.Errorf("the second push: %s\nthe third: %s", results[2].Content, results[3].Content)
	}
	if got := gatetest.Git(t, up.Bare("app"), "log", "--format=%s", "main"); got != "config\nedit\nfirst" {
		t.Errorf("the upstream has %q", got)
	}
}

// TestTheGateAndItsBottleEndTogether kills one and wants the other to end.
func TestTheGateAndItsBottleEndTogether(t *testing.T) {
	needNative(t)
	up := gatetest.New(t)
	up.Repository("app")
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: standin.NewAnthropic()}})
	w.bottle(gitBottle(up, ""), claude.Host)
	w.agent("echo running; exec sleep 100000\n")
	gates := func() (pids []int) {
		for pid, line := range commandLines() {
			if strings.HasPrefix(line, "bot-bottle:gate") && parent(pid) > 1 {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	for _, victim := range []string{"the gate", "the command line"} {
		t.Run(victim, func(t *testing.T) {
			before := gates()
			b := w.spawn(w.command(t.Context(), "start", "work", "--yes", "--headless", "--prompt", "x"))
			eventually(t, "the agent runs", func() bool { return strings.Contains(b.out.String(), "running") })
			ours := slices.DeleteFunc(gates(), func(pid int) bool { return slices.Contains(before, pid) || parent(pid) != b.cmd.Process.Pid })
			if len(ours) != 1 {
				t.Fatalf("gates of the run: %v", ours)
			}
			pid := b.cmd.Process.Pid
			if victim == "the gate" {
				pid = ours[0]
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "all of it has ended", func() bool { return len(w.processes()) == 0 && parent(ours[0]) == 0 })
			<-b.ended
		})
	}
}

// parent is a process's parent, 0 where the process is gone.
func parent(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the state, the parent
	if fields[0] == "Z" {
		return 0
	}
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return ppid
}
