package fence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
	"golang.org/x/sys/unix"
)

// The test program runs itself as the process behind the fence: mode, directory, then what to try.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "behind-the-fence" {
		os.Exit(behind(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

// report is what the child tells on its standard error.
type report struct {
	Held  []string
	Tried map[string]string // "done", or the error
	Env   int
	FDs   []int // that a program it starts would get
	Null  int   // descriptors above 2 that are open on /dev/null
	Dumps int
}

func behind(mode, dir string) int {
	r := report{Tried: map[string]string{}}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	options := fence.Options{ReadFiles: []string{filepath.Join(dir, "open"), filepath.Join(dir, "none")}, MaxFileSize: 4096}
	var name string
	switch mode {
	case "nothing":
	case "landlock":
		_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		name, err = fence.Landlocked(options)
		r.Held = []string{name}
	case "seccomp":
		_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		name, err = fence.Filtered(options)
		r.Held = []string{name}
	case "capabilities":
		name, err = fence.Uncapable(options)
		r.Held = []string{name}
	case "enter":
		err = fence.Enter(4)
		r.Env = len(os.Environ())
		r.FDs, r.Null = openFDs()
		r.Dumps, _ = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	case "all":
		r.Held, err = fence.Raise(options)
	case "programs":
		options.WriteDirs, options.WriteFiles = []string{filepath.Join(dir, "own")}, []string{os.DevNull}
		options.ProgramDirs = []string{"/usr", "/bin", "/lib", "/lib64"}
		r.Held, err = fence.RaiseWithPrograms(options)
	}
	if err != nil {
		panic(err)
	}
	tries := attempts(dir, log)
	for _, what := range slices.Sorted(maps.Keys(tries)) {
		r.Tried[what] = "done"
		if err := onAThread(tries[what]); err != nil {
			r.Tried[what] = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stderr).Encode(r); err != nil {
		return 1
	}
	return 0
}

// onAThread runs try on several threads at once, so that a guard which holds on one only is seen.
func onAThread(try func() error) error {
	results := make(chan error)
	for range 4 {
		go func() { results <- try() }()
	}
	var worst error
	done := 0
	for range 4 {
		if err := <-results; err != nil {
			worst = err
		} else {
			done++
		}
	}
	if done > 0 && worst != nil {
		return fmt.Errorf("it holds on some threads only: %w", worst)
	}
	return worst
}

func attempts(dir string, log *os.File) map[string]func() error {
	open := func(path string, flags int) func() error {
		return func() error {
			fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}
	}
	call := func(nr uintptr, args ...uintptr) func() error {
		return func() error {
			var a [6]uintptr
			copy(a[:], args)
			if _, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
				return errno
			}
			return nil
		}
	}
	return map[string]func() error{
		"read /etc/passwd":     open("/etc/passwd", unix.O_RDONLY),
		"read an allowed file": open(filepath.Join(dir, "open"), unix.O_RDONLY),
		"write a file":         open(filepath.Join(dir, "open"), unix.O_WRONLY),
		"make a file":          open(filepath.Join(dir, "new"), unix.O_WRONLY|unix.O_CREAT),
		"list a directory": func() error {
			_, err := os.ReadDir(dir)
			return err
		},
		"start a program": func() error { return exec.Command("/bin/true").Run() },
		"fork": func() error {
			pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if errno != 0 {
				return errno
			}
			if pid == 0 {
				_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
			return nil
		},
		"become a program": func() error {
			path, _ := unix.BytePtrFromString("/does/not/exist")
			return call(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)), 0, 0)()
		},
		"make code": func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			return err
		},
		"trace":           call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(os.Getppid())),
		"read a process":  call(unix.SYS_PROCESS_VM_READV, uintptr(os.Getpid())),
		"signal a parent": func() error { return unix.Kill(os.Getppid(), 0) },
		"signal a thread": call(unix.SYS_TGKILL, uintptr(os.Getppid()), uintptr(os.Getppid()), 0),
		"io_uring":        call(unix.SYS_IO_URING_SETUP, 1, 0),
		"bpf":             call(unix.SYS_BPF, 0, 0, 0),
		"netlink":         call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0),
		"unix socket":     call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0),
		"dial": func() error {
			conn, err := net.DialTimeout("tcp", "127.0.0.1:1", 10*time.Second)
			if err == nil {
				conn.Close()
			}
			if err != nil && strings.Contains(err.Error(), "refused") {
				return nil // it got as far as the other side
			}
			return err
		},
		"listen": func() error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err == nil {
				l.Close()
			}
			return err
		},
		"write in its own directory": open(filepath.Join(dir, "own", "new"), unix.O_WRONLY|unix.O_CREAT),
		"write beside it":            open(filepath.Join(dir, "beside"), unix.O_WRONLY|unix.O_CREAT),
		"a program reads a secret":   func() error { return exec.Command("/bin/cat", "/etc/shadow", "/etc/machine-id", "/etc/hostname").Run() },
		"a program writes outside":   func() error { return exec.Command("/bin/sh", "-c", "echo > "+dir+"/outside").Run() },
		"a program writes inside":    func() error { return exec.Command("/bin/sh", "-c", "echo > "+dir+"/own/inside").Run() },
		"mount":                      call(unix.SYS_MOUNT, 0, 0, 0, 0, 0),
		"join namespaces":            call(unix.SYS_SETNS, ^uintptr(0), 0),
		"keys":                       call(unix.SYS_KEYCTL, 0, ^uintptr(2), 0),
		"chown as root":              func() error { return unix.Chroot("/") },
		"append":                     func() error { _, err := log.WriteString("x\n"); return err },
		"threads": func() error {
			done := make(chan error)
			for range 20 { // blocked system calls make the runtime start threads
				go func() {
					ts := unix.Timespec{Nsec: 1e6}
					err := unix.Nanosleep(&ts, nil)
					if err == unix.EINTR { // the runtime's own signals
						err = nil
					}
					done <- err
				}()
			}
			for range 20 {
				if err := <-done; err != nil {
					return err
				}
			}
			return nil
		},
		"grow the log": func() error { _, err := log.Write(make([]byte, 8192)); return err },
	}
}

func openFDs() (fds []int, null int) {
	var device, st unix.Stat_t
	_ = unix.Stat("/dev/null", &device)
	for fd := range 64 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil {
			continue
		}
		if flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
		if unix.Fstat(fd, &st) == nil && fd > 2 && st.Rdev == device.Rdev {
			null++
		}
	}
	return fds, null
}

func run(t *testing.T, mode string, extra ...*os.File) report {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "open"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "own"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "behind-the-fence", mode, dir)
	cmd.Env = []string{"SECRET_ENV=1", "GOTRACEBACK=single"}
	cmd.ExtraFiles = extra
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", mode, err, out.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%s: %v\n%s", mode, err, out.String())
	}
	return r
}

func has(t *testing.T, r report, name string) bool {
	t.Helper()
	for _, held := range r.Held {
		if strings.HasPrefix(held, "no "+name) {
			need.Require(t, need.Native, errors.New(held))
		}
		if strings.HasPrefix(held, name) {
			return true
		}
	}
	return false
}

func TestEachGuardHoldsAlone(t *testing.T) {
	for mode, row := range map[string]struct{ refused, done []string }{
		"landlock": {
			[]string{"read /etc/passwd", "write a file", "make a file", "list a directory", "become a program", "signal a parent"},
			[]string{"read an allowed file", "dial", "append", "threads"},
		},
		"seccomp": {
			[]string{"write a file", "make a file", "start a program", "fork", "become a program", "make code", "trace", "read a process",
				"signal a parent", "signal a thread", "io_uring", "bpf", "netlink", "unix socket", "listen", "chown as root"},
			[]string{"read /etc/passwd", "read an allowed file", "dial", "append", "threads"},
		},
		"capabilities": {[]string{"chown as root"}, []string{"dial", "append", "threads"}},
	} {
		t.Run(mode, func(t *testing.T) {
			r := run(t, mode)
			has(t, r, mode)
			for _, what := range row.refused {
				if got := r.Tried[what]; got != "operation not permitted" && got != "permission denied" &&
					!strings.HasSuffix(got, ": operation not permitted") && !strings.HasSuffix(got, ": permission denied") &&
					(mode != "landlock" || what != "become a program") {
					t.Errorf("%s: %s", what, got)
				}
			}
			for _, what := range row.done {
				if r.Tried[what] != "done" {
					t.Errorf("%s: %s", what, r.Tried[what])
				}
			}
		})
	}
}

// TestNothingIsRefusedWithoutTheFence keeps the other tests honest: what they see refused works.
func TestNothingIsRefusedWithoutTheFence(t *testing.T) {
	r := run(t, "nothing")
	for _, what := range []string{"read /etc/passwd", "write a file", "make a file", "list a directory", "start a program", "fork", "make code",
		"signal a parent", "netlink", "unix socket", "listen", "dial", "append", "grow the log"} {
		if r.Tried[what] != "done" {
			t.Errorf("%s: %s", what, r.Tried[what])
		}
	}
}

func TestTheWholeFence(t *testing.T) {
	r := run(t, "all")
	for what, got := range r.Tried {
		stays := slices.Contains([]string{"read an allowed file", "dial", "append", "threads"}, what)
		if stays != (got == "done") {
			t.Errorf("%s: %s", what, got)
		}
	}
	if !strings.Contains(r.Tried["grow the log"], syscall.EFBIG.Error()) {
		t.Errorf("a log past its limit gives %q", r.Tried["grow the log"])
	}
	if !has(t, r, "landlock") || !has(t, r, "seccomp") {
		t.Errorf("only %q hold", r.Held)
	}
	t.Log(r.Held)
}

func TestTheFenceOfAProcessThatStartsPrograms(t *testing.T) {
	r := run(t, "programs")
	if !has(t, r, "landlock") || !has(t, r, "seccomp") {
		t.Fatalf("only %q hold", r.Held)
	}
	for _, what := range []string{"start a program", "fork", "read an allowed file", "write in its own directory", "a program writes inside", "dial", "append", "threads"} {
		if r.Tried[what] != "done" {
			t.Errorf("%s: %s", what, r.Tried[what])
		}
	}
	for _, what := range []string{"write a file", "make a file", "list a directory", "write beside it", "a program reads a secret", "a program writes outside",
		"trace", "read a process", "io_uring", "bpf", "chown as root", "mount", "join namespaces", "keys"} {
		if r.Tried[what] == "done" {
			t.Errorf("%s: done", what)
		}
	}
}

func TestEnterKeepsOnlyWhatIsMeant(t *testing.T) {
	var extra []*os.File
	for range 7 {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		extra = append(extra, f)
	}
	r := run(t, "enter", extra...)
	if r.Env != 0 {
		t.Errorf("%d variables are left", r.Env)
	}
	if r.Null != 4 || r.Dumps != 0 {
		t.Errorf("%d of 7 descriptors are left, want 4; dumpable is %d", r.Null, r.Dumps)
	}
	if want := []int{0, 1, 2}; !slices.Equal(r.FDs, want) {
		t.Errorf("a program it started would get the descriptors %v, want %v", r.FDs, want)
	}
}
