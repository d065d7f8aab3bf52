package native

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/host"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func TestJudgeHost(t *testing.T) {
	good := host.Facts{Kernel: host.Version{Major: 6, Minor: 8}, MaxUserNS: 1, UserNSClone: true, Landlock: 7, Seccomp: true}
	all := features([]controller{{name: "memory"}})
	t.Run("a good machine works", func(t *testing.T) {
		c := judgeHost(good, "", all)
		if !c.Works || len(c.Problems) != 0 || c.Isolation != "user namespace, seccomp, Landlock ABI 7" {
			t.Errorf("%+v", c)
		}
	})
	t.Run("AppArmor is named with its remedy", func(t *testing.T) {
		f := good
		f.AppArmorUserNS = true
		c := judgeHost(f, "cannot separate the mounts from the host's: permission denied", all)
		if c.Works || !c.Problems[0].Required || !strings.Contains(c.Problems[0].Fix, "apparmor_parser") {
			t.Errorf("%+v", c)
		}
	})
	t.Run("missing rules name the modules", func(t *testing.T) {
		c := judgeHost(good, "cannot install the redirect: no such file or directory", all)
		if c.Works || !strings.Contains(c.Problems[0].Fix, "modprobe") {
			t.Errorf("%+v", c)
		}
	})
	t.Run("without seccomp it does not work", func(t *testing.T) {
		f := good
		f.Seccomp = false
		if judgeHost(f, "", all).Works {
			t.Error("it says that it works")
		}
	})
	t.Run("without Landlock and memory limits it is weaker and says so", func(t *testing.T) {
		f := good
		f.Landlock = 0
		c := judgeHost(f, "", features(nil))
		if !c.Works || len(c.Problems) != 2 || strings.Contains(c.Isolation, "Landlock") {
			t.Errorf("%+v", c)
		}
	})
}

func TestMemoryThatCannotBeLimitedIsRefused(t *testing.T) {
	p := &plan.Plan{ID: "api-00000", Limits: plan.Limits{MemoryBytes: 1 << 30}, Paths: plan.Paths{Home: "/h", Run: "/r", Audit: "/a", Proposals: "/p"}}
	if err := check(p, features(nil)); !fault.Is(err, fault.Unsupported) {
		t.Error(err)
	}
	if err := check(p, features([]controller{{name: "memory"}})); err != nil {
		t.Error(err)
	}
}

func TestControllers(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("user.slice/app.slice/cgroup.procs", "")
	write("user.slice/app.slice/cgroup.subtree_control", "cpu memory pids\n")
	write("memory/x/tasks", "")
	write("pids/tasks", "")
	for _, c := range []struct {
		name, membership string
		want             []string
	}{
		{"version 2", "0::/user.slice/app.slice/a.scope\n", []string{"cpu cpu.max", "memory memory.max", "pids pids.max"}},
		{"version 2 without a right", "0::/elsewhere/a.scope\n", nil},
		{"version 1", "5:memory:/x\n3:pids:/gone\n1:cpu,cpuacct:/\n", []string{"memory memory.limit_in_bytes", "pids pids.max"}},
		{"none", "", nil},
		{"nonsense", "a\nb:c\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, found := range controllers(root, c.membership) {
				got = append(got, found.name+" "+found.file)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestStartTime(t *testing.T) {
	stat := "42 (a) b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20"
	if got, err := startTime(stat); err != nil || got != 777 {
		t.Errorf("%d %v", got, err)
	}
	if _, err := startTime("42 (x) R 1"); err == nil {
		t.Error("a short record was accepted")
	}
}

func TestAProcessOfAnotherTimeIsNotSignalled(t *testing.T) {
	me, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]process{
		"another start": {me.PID, me.Start + 1, me.Boot},
		"another boot":  {me.PID, me.Start, "x"},
		"no number":     {},
	} {
		if other.alive() {
			t.Errorf("%s is alive", name)
		}
		if err := other.kill(t.Context()); err != nil { // it would be the end of this test
			t.Errorf("%s: %v", name, err)
		}
	}
	if !me.alive() {
		t.Error("I am dead")
	}
}

// TestTheUsualMemoryIsLessThanTheMachines holds what a plan without a limit gets.
func TestTheUsualMemoryIsLessThanTheMachines(t *testing.T) {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	if _, err := fmt.Sscanf(string(raw), "MemTotal: %d kB", &total); err != nil {
		t.Fatal(err)
	}
	if got := usualMemory(); got < total*1024/2 || got > total*1024*4/5 {
		t.Errorf("%d of %d bytes", got, total*1024)
	}
}
