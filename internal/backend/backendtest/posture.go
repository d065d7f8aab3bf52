package backendtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func agentLoop(script string) backend.Command {
	return backend.Command{Args: []string{"/bin/sh", "-c", script}, Env: environment(), Agent: true}
}

func stdioNone() backend.Stdio { return backend.Stdio{} }

// posture looks at a live bottle from inside, as its agent.
func (s *suite) posture(t *testing.T) {
	secret := filepath.Join(place(t), "mounted")
	if err := os.WriteFile(secret, []byte("shown"), 0o644); err != nil { //nolint:gosec // the agent is to read it
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(secret), 0o755); err != nil { //nolint:gosec // the agent is to reach it
		t.Fatal(err)
	}
	b := s.launch(t, func(p *plan.Plan) { p.Mounts = []plan.Mount{{HostPath: secret, Path: "/brought/in"}} })
	t.Run("the user is node and nobody else", func(t *testing.T) {
		if out := b.sh("id -u; id -g; id -un; echo ~"); out != "1000\n1000\nnode\n/home/node" {
			t.Errorf("%q", out)
		}
	})
	t.Run("every capability set is empty, and privileges cannot be gained", func(t *testing.T) {
		status := b.sh("cat /proc/self/status")
		for _, want := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			key, _, _ := strings.Cut(want, ":")
			if s.o.OwnKernel != "" && !strings.Contains(status, "\n"+key+":") {
				continue // the self-check asked the kernel
			}
			if !strings.Contains(status, want) {
				t.Errorf("status lacks %q", want)
			}
		}
	})
	t.Run("namespaces are its own", func(t *testing.T) {
		for _, ns := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"} {
			if ns == "user" && s.o.HostUsers != "" || ns == "cgroup" && s.o.HostCgroups != "" || s.o.OwnKernel != "" {
				continue // in a kernel of its own there are none of the host's
			}
			host, err := os.Readlink("/proc/self/ns/" + ns)
			if err != nil {
				t.Fatal(err)
			}
			if inside := b.sh("readlink /proc/self/ns/%s", ns); inside == host {
				t.Errorf("the %s namespace is the host's", ns)
			}
		}
		if out := b.sh("find /sys/fs/cgroup -writable 2>/dev/null | head -n 3; true"); out != "" {
			t.Errorf("cgroups can be written: %q", out)
		}
	})
	t.Run("only its own descriptors are open", func(t *testing.T) {
		if out := b.sh("ls /proc/self/fd | tr '\\n' ' '"); out != "0 1 2 3" { // 3 is ls's own
			t.Errorf("open: %q", out)
		}
	})
	t.Run("the root holds what was planned", func(t *testing.T) {
		for _, name := range strings.Fields(b.sh("ls -A /")) {
			switch name {
			case "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "opt", "nix", "etc", "dev", "proc", "sys", "tmp", "run", "var", "home", "brought":
			default:
				if s.o.ImageRoot == "" {
					t.Errorf("/%s is there", name)
				}
			}
		}
		if out := b.sh("ls -A /home; cat /brought/in"); out != "node\nshown" {
			t.Errorf("%q", out)
		}
	})
	t.Run("nothing is written but where it may be", func(t *testing.T) {
		for _, path := range []string{"/x", "/usr/x", "/etc/x", "/opt/x", "/dev/x", "/home/x", "/var/x", "/brought/in", "/etc/passwd", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger"} {
			if exit, _, _ := b.run("", "sh", "-c", "echo x >> "+path); exit.Code == 0 {
				t.Errorf("%s was written to", path)
			}
		}
		b.sh("for d in /home/node /tmp /run /dev/shm; do echo x > $d/x; done")
	})
	t.Run("mounts are read-only, without devices and set-user-id", func(t *testing.T) { b.mounts(t, s.o.MountFlags != "") })
	t.Run("what /proc tells of the host is hidden or fixed", func(t *testing.T) {
		mounts := b.sh("cut -d' ' -f2,4 /proc/self/mounts")
		if out := b.sh("find /proc/sys /proc/irq /proc/fs /proc/bus -writable 2>/dev/null; true"); out != "" && s.o.OwnKernel != "" {
			t.Errorf("can be written: %q", out)
		}
		for _, name := range []string{"sys", "irq", "fs", "bus"} {
			if s.o.OwnKernel == "" && !strings.Contains(mounts, "/proc/"+name+" ro,") {
				t.Errorf("/proc/%s is not read-only", name)
			}
		}
		for _, name := range []string{"keys", "kcore", "timer_list", "kmsg", "sysrq-trigger"} {
			if exit, out, _ := b.run("", "sh", "-c", "head -c 1 /proc/"+name); exit.Code == 0 && (out != "" || s.o.EmptyMasks == "") {
				t.Errorf("/proc/%s shows %q", name, out)
			}
		}
	})
	t.Run("the groups of the host's root are not kept", func(t *testing.T) {
		if out := b.sh("id -G"); os.Geteuid() == 0 && out != "1000" {
			t.Errorf("groups: %s", out)
		}
	})
	t.Run("init is closed", func(t *testing.T) {
		for _, path := range []string{"mem", "environ", "maps", "fd/3", "root/", "cwd/", "exe", "syscall"} {
			if s.o.InitTold != "" && (path == "environ" || path == "maps" || path == "fd/3") {
				continue
			}
			if exit, _, _ := b.run("", "sh", "-c", "cat /proc/1/"+path); exit.Code == 0 {
				t.Errorf("/proc/1/%s can be read", path)
			}
		}
		if s.o.InitTold != "" {
			s.initTold(t, b)
			return
		}
		b.run("", "sh", "-c", "for s in HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STOP TSTP XCPU SYS; do kill -$s 1; done")
		b.run("", "true")
	})
	t.Run("no socket of the host is there", func(t *testing.T) {
		if out := b.sh("find / -xdev -type s 2>/dev/null; find /run /tmp /home -type s; cat /proc/net/unix | tail -n +2 | grep / || true"); out != "" {
			t.Errorf("%q", out)
		}
	})
	t.Run("accounts and names are its own", func(t *testing.T) {
		out := b.sh("cat /etc/passwd | cut -d: -f1 | tr '\\n' ' '; ls /etc/shadow /etc/machine-id /etc/ssh /etc/sudoers 2>/dev/null || true; cat /etc/resolv.conf; hostname")
		if !strings.HasPrefix(out, "root node nobody ") || !strings.Contains(out, "nameserver "+plan.SidecarIPv4) || !strings.HasSuffix(out, string(b.plan.ID)) || strings.Contains(out, "/etc/") && s.o.ImageRoot == "" {
			t.Errorf("%q", out)
		}
		if exit, out, _ := b.run("", "cat", "/etc/shadow"); exit.Code == 0 {
			t.Errorf("accounts: %q", out)
		}
	})
	t.Run("closed system calls stay closed", func(t *testing.T) { b.calls(t) })
}

// initTold tries each descriptor of init for what its streams to the owner are, in each of its
// threads, and then ends it.
func (s *suite) initTold(t *testing.T, b *bottle) {
	const script = `import os, stat
own = {os.fstat(fd)[1:3] for fd in (0, 1, 2)}
for thread in os.listdir("/proc/1/task"):
    for fd in os.listdir("/proc/1/task/%s/fd" % thread):
        for how in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
            try: f = os.open("/proc/1/task/%s/fd/%s" % (thread, fd), how | os.O_NONBLOCK)
            except OSError: continue
            st = os.fstat(f)
            if not stat.S_ISREG(st.st_mode) and st[1:3] not in own and st.st_rdev != os.makedev(1, 3): print(thread, fd, how, st)
            os.close(f)`
	if out := b.sh("/usr/bin/python3 -c '%s'", script); out != "" {
		t.Errorf("descriptors of init can be opened: %s", out)
	}
	end := s.launch(t)
	_, _ = end.d.Exec(background(t), end.h, backend.Command{Args: []string{"sh", "-c", "kill -KILL 1"}, Env: environment()}, stdioNone())
	soon(t, end.d.Done(end.h), "the end of a bottle whose init was killed")
}

// mounts holds every mount against the rule for its place: by its flags, or, where an engine gives
// those, by what can be done there.
func (b *bottle) mounts(t *testing.T, tried bool) {
	writable := map[string]bool{"/home/node": true, "/tmp": true, "/run": true, "/dev/shm": true, "/dev/pts": true, "/proc": true, "/var/tmp": tried}
	for line := range strings.SplitSeq(b.sh("cat /proc/self/mounts"), "\n") {
		fields := strings.Fields(line)
		where, options := fields[1], ","+fields[3]+","
		device := strings.HasPrefix(where, "/dev/") && where != "/dev/shm"
		if tried {
			b.mountTried(t, where, writable[where] || device)
			continue
		}
		if !strings.Contains(options, ",nosuid,") {
			t.Errorf("set-user-id programs work in %s", where)
		}
		if !strings.Contains(options, ",nodev,") && !device {
			t.Errorf("devices work in %s", where)
		}
		if !strings.Contains(options, ",ro,") && !device && !writable[where] {
			t.Errorf("%s is writable", where)
		}
	}
}

// mountTried tries to write in a mount, and to make a device in one that can be written.
func (b *bottle) mountTried(t *testing.T, where string, writable bool) {
	const script = `[ -c "$0" ] && exit 0 # a mask of /proc: the null device
f=$0
[ -d "$0" ] && f=$0/.tried && mknod "$0/.device" c 1 3 2>/dev/null && echo device
[ "$1" = may ] || ! (: >>"$f") 2>/dev/null || echo written`
	may := "no"
	if writable {
		may = "may"
	}
	if _, out, _ := b.run("", "sh", "-c", script, where, may); out != "" {
		t.Errorf("in %s: %q", where, out)
	}
}

// calls tries what the filter closes through programs that are everywhere.
func (b *bottle) calls(t *testing.T) {
	for name, script := range map[string]string{
		"a user namespace":     "unshare -U true",
		"a mount":              "mount -t tmpfs none /tmp",
		"entering a namespace": "nsenter --net=/proc/self/ns/net true",
		"changing the root":    "chroot / true",
		"a raw socket":         "ping -c1 -w1 127.0.0.1",
		"the kernel's log":     "dmesg",
	} {
		if exit, out, _ := b.run("", "sh", "-c", script); exit.Code == 0 {
			t.Errorf("%s was possible: %s", name, out)
		}
	}
}
