package e2e_test

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// looker is an agent that looks at itself and at all it can reach, and says what it sees. What it
// searches for is written backwards, so that the search does not find itself.
const looker = `
for n in pid net mnt user ipc uts cgroup; do echo "ns $(readlink /proc/self/ns/$n)"; done
ls -l /proc/self/fd | sed -n 's|.* \([0-9]*\) -> |descriptor \1 |p' | grep -v '/proc/[0-9]*/fd'
sleep 100000 & setsid sleep 100000 &
exec python3 - <<'PYTHON'
import glob, os, signal
def text(path):
    try:
        with open(path, "rb") as f: return f.read()
    except OSError: return b""
for d in sorted(glob.glob("/proc/[0-9]*"), key=lambda d: int(d[6:])):
    status = dict(l.split(":\t", 1) for l in text(d + "/status").decode().splitlines() if ":\t" in l)
    keys = ("Name", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
    print("process", "|".join(k + "=" + " ".join(status.get(k, "?").split()) for k in keys))
for l in text("/proc/self/mountinfo").decode().splitlines():
    f = l.split()
    print("mount", f[4], f[5].split(",")[0], "+".join(o for o in ("nosuid", "nodev", "noexec") if o in f[5].split(",")))
secret = b"BACKWARDS"[::-1]
def search(where, content):
    if secret in content: print("FOUND", where)
searched = 0
for d in glob.glob("/proc/[0-9]*") + glob.glob("/proc/[0-9]*/task/*"):
    for name in ("environ", "cmdline", "maps", "status", "stat", "auxv"):
        search(d + "/" + name, text(d + "/" + name))
    if d.split("/")[2] == str(os.getpid()): continue
    for l in text(d + "/maps").decode().splitlines():
        lo, hi = (int(x, 16) for x in l.split()[0].split("-"))
        try:
            with open(d + "/mem", "rb") as f:
                f.seek(lo); search(d + "/mem", f.read(min(hi - lo, 64 << 20))); searched += 1
        except (OSError, OverflowError, ValueError): pass
files = 0
for top in ("/home", "/tmp", "/run", "/etc", "/dev/shm", "/bottle", "/var", "/root", "/srv", "/mnt"):
    for dir, _, names in os.walk(top):
        for n in names:
            path = os.path.join(dir, n)
            if os.path.isfile(path) and os.path.getsize(path) < 64 << 20:
                search(path, text(path)); files += 1
print("searched", searched > 10 and "memory", files > 5 and "files")
print("top", " ".join(sorted(os.listdir("/"))))
print("ready", flush=True)
signal.pause()
PYTHON
`

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func TestPostureOfALiveBottle(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.bottle("workspace: copy\n", claude.Host)
	w.agent(strings.ReplaceAll(looker, "BACKWARDS", backwards(w.token())))
	b := w.begin()
	b.says("ready\n")
	out := b.out.String()
	t.Run("every process is nobody", func(t *testing.T) { everyProcessIsNobody(t, out) })
	t.Run("no namespace is the host's", func(t *testing.T) {
		ns := namespaces(out)
		for _, n := range ns {
			kind, _, _ := strings.Cut(n, ":")
			if host, err := os.Readlink("/proc/self/ns/" + kind); err != nil || host == n {
				t.Errorf("%s: %s, %v", n, host, err)
			}
		}
		if len(ns) != 7 {
			t.Errorf("%q", ns)
		}
	})
	t.Run("the descriptors are three", func(t *testing.T) {
		if got := all(out, "descriptor "); len(got) != 3 || got[0][0] != '0' || got[1][0] != '1' || got[2][0] != '2' {
			t.Errorf("%q", got)
		}
	})
	t.Run("the mounts are the plan's", func(t *testing.T) { mountsAreThePlans(t, out) })
	t.Run("the token is nowhere", func(t *testing.T) {
		if found := all(out, "FOUND "); len(found) > 0 {
			t.Errorf("%q", found)
		}
		if got := line(out, "searched "); got != "memory files" {
			t.Errorf("the search itself: %q", got)
		}
	})
	t.Run("the sidecar shows nothing to the host", func(t *testing.T) { sidecarShowsNothing(t, w) })
	b.signal(syscall.SIGTERM)
	b.wait()
}

// all returns the rests of the lines that begin with prefix.
func all(text, prefix string) []string {
	var found []string
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, prefix); ok {
			found = append(found, strings.TrimSpace(rest))
		}
	}
	return found
}

// callersGroups are the node's own and those that have no number in the bottle.
var callersGroups = regexp.MustCompile(`\|Groups=(1000|65534)( 65534)*\|`)

func everyProcessIsNobody(t *testing.T, out string) {
	t.Helper()
	const none = "0000000000000000"
	want := fmt.Sprintf("|Uid=1000 1000 1000 1000|Gid=1000 1000 1000 1000|Groups=|CapInh=%[1]s|CapPrm=%[1]s|CapEff=%[1]s|CapBnd=%[1]s|CapAmb=%[1]s|NoNewPrivs=1|Seccomp=2", none)
	processes := all(out, "process ")
	for _, p := range processes {
		if os.Geteuid() != 0 { // without privileges nobody can leave a group; see user_namespaces(7)
			p = callersGroups.ReplaceAllString(p, "|Groups=|")
		}
		if !strings.HasSuffix(p, want) {
			t.Errorf("%s\nwant …%s", p, want)
		}
	}
	if len(processes) < 4 { // init, the agent, its two children
		t.Errorf("only %q", processes)
	}
}

//go:embed testdata/mounts
var goldenMounts string

// mountsAreThePlans compares with the golden list: what of it this host has, and nothing else.
func mountsAreThePlans(t *testing.T, out string) {
	t.Helper()
	var want []string
	for l := range strings.Lines(goldenMounts) {
		f := strings.Fields(l)
		switch f[0] {
		case "own":
			want = append(want, strings.Join(f[1:], " "))
		case "host":
			found, _ := filepath.Glob(f[1])
			for _, path := range found {
				if info, err := os.Lstat(path); err == nil && info.Mode().Type()&os.ModeSymlink == 0 {
					want = append(want, path+" "+strings.Join(f[2:], " "))
				}
			}
		}
	}
	got := all(out, "mount ")
	slices.Sort(want)
	slices.Sort(got)
	for _, m := range got {
		if !slices.Contains(want, m) {
			t.Errorf("there is %q", m)
		}
	}
	for _, m := range want {
		if !slices.Contains(got, m) {
			t.Errorf("there is no %q", m)
		}
	}
	if len(got) != len(slices.Compact(slices.Clone(got))) {
		t.Errorf("mounted twice: %q", got)
	}
	const top = "bin bottle dev etc home lib lib64 opt proc run sbin sys tmp usr var"
	for _, name := range strings.Fields(line(out, "top ")) {
		if !slices.Contains(strings.Fields(top+" lib32 libx32 nix"), name) {
			t.Errorf("there is /%s", name)
		}
	}
}

func sidecarShowsNothing(t *testing.T, w *world) {
	t.Helper()
	for _, face := range []string{"sidecar", "guest"} {
		dir := filepath.Join("/proc", fmt.Sprint(w.pid(face)))
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if os.Geteuid() == 0 && err != nil {
			t.Error(err)
		}
		whole := map[string]string{"sidecar": plan.SidecarEnv + "\x00"}[face] // which names no secret
		if err == nil && string(env) != whole {
			t.Errorf("the %s has an environment: %q", face, env)
		}
		if os.Geteuid() != 0 && err == nil { // one that can be dumped shows it to its own user
			t.Errorf("the %s can be dumped", face)
		}
		argv, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if want := w.title() + w.only().Identity + "\x00" + face + "\x00"; err != nil || string(argv) != want {
			t.Errorf("argv of the %s: %q, %v", face, argv, err)
		}
	}
	w.nowhereOnTheHost(w.token())
}
