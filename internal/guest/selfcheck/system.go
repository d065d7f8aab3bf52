package selfcheck

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// unseen tries what of the host must not be there.
func unseen(hidden []wire.Path) []attempt {
	var all []attempt
	for _, h := range hidden {
		all = append(all, attempt{h.Name, func() (bool, string) { return invisible(h) }})
	}
	return all
}

// unwritable tries what of the bottle must not be written.
func unwritable() []attempt {
	var all []attempt
	for _, dir := range []string{"/usr", "/etc"} {
		all = append(all, attempt{"writing to " + dir, func() (bool, string) { return readOnly(dir) }})
	}
	return all
}

// invisible holds when there is nothing under the name, or something that is not the host's.
func invisible(p wire.Path) (bool, string) {
	var st unix.Stat_t
	err := unix.Lstat(p.Path, &st)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return true, "not there"
	case err != nil:
		return false, err.Error()
	case p.Inode == 0:
		return false, p.Path + " is there"
	case st.Ino == p.Inode && st.Dev == p.Device:
		return false, p.Path + " is the host's"
	}
	return true, "another one, of the bottle"
}

func readOnly(dir string) (bool, string) {
	name := dir + "/.self-check"
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err == nil {
		_ = unix.Close(fd)
		_ = unix.Unlink(name)
	}
	return failed(err, unix.EROFS, unix.EACCES)
}

func privileges() []attempt {
	return []attempt{
		{"capabilities", noCapabilities},
		{"gaining privileges", noNewPrivileges},
		{"unfiltered system calls", filtered},
		{"a user namespace", func() (bool, string) {
			return onThread(func() error { return unix.Unshare(unix.CLONE_NEWUSER) })
		}},
		{"mounting", func() (bool, string) {
			return onThread(func() error { return unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "") })
		}},
	}
}

// onThread tries something that would change its thread, on one that ends with the attempt. Only
// the filter's own error counts: the kernel may have other reasons that a program gets around.
func onThread(try func() error) (held bool, how string) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		done <- try()
	}()
	return failed(<-done, unix.EPERM)
}

// status returns a line of this thread's /proc status. The sets of threads are the same: they
// were changed for all of them.
func status(keys ...string) (map[string]string, error) {
	content, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for line := range strings.SplitSeq(string(content), "\n") {
		key, value, _ := strings.Cut(line, ":")
		values[key] = strings.TrimSpace(value)
	}
	for _, k := range keys {
		if _, ok := values[k]; !ok {
			return nil, fmt.Errorf("the kernel does not tell %s", k)
		}
	}
	return values, nil
}

func noCapabilities() (bool, string) {
	sets := []string{"CapInh", "CapPrm", "CapEff", "CapBnd"}
	values, err := status(sets...)
	if err != nil {
		return false, err.Error()
	}
	if _, told := values["CapAmb"]; told {
		sets = append(sets, "CapAmb")
	} else if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, 0, 0, 0); err != unix.EINVAL {
		return false, fmt.Sprintf("there is an ambient set, of which the kernel does not tell: %v", err)
	}
	for _, set := range sets {
		if strings.Trim(values[set], "0") != "" {
			return false, set + " is " + values[set]
		}
	}
	return true, "every set is empty"
}

func noNewPrivileges() (bool, string) { return tells("NoNewPrivs", unix.PR_GET_NO_NEW_PRIVS, "1") }

func filtered() (bool, string) { return tells("Seccomp", unix.PR_GET_SECCOMP, "2") }

// tells holds when the kernel tells the value wanted, in /proc or, where that says nothing of it,
// to who asks.
func tells(key string, question uintptr, want string) (bool, string) {
	values, err := status()
	if err != nil {
		return false, err.Error()
	}
	value, told := values[key]
	if !told {
		answer, _, errno := unix.Syscall6(unix.SYS_PRCTL, question, 0, 0, 0, 0, 0)
		if errno != 0 {
			return false, fmt.Sprintf("the kernel does not tell %s: %v", key, errno)
		}
		value = strconv.Itoa(int(answer))
	}
	return value == want, key + " is " + value
}

// initClosed lets a shell, which is what the agent has, try to look into init.
func initClosed(shell Shell) (bool, string) {
	const script = `for f in mem environ maps auxv; do if { true </proc/1/$f; } 2>/dev/null; then echo $f; fi; done
for f in /proc/1/fd/* /proc/1/root/* /proc/1/cwd/*; do case $f in *'*') ;; *) echo $f ;; esac; done
echo tried`
	out, err := shell(script, deadline)
	if err != nil {
		return false, err.Error()
	}
	open, tried := strings.CutSuffix(strings.TrimSpace(out), "tried")
	if !tried {
		return false, fmt.Sprintf("the attempt did not run: %.80q", out)
	}
	if open != "" {
		return false, fmt.Sprintf("open: %.160q", open)
	}
	return true, "permission denied"
}

// Look is initClosed's script for a bottle that may have no shell: a program that runs as the
// agent would, and prints what of init it could open.
func Look(out io.Writer) {
	for _, name := range []string{"mem", "environ", "maps", "auxv"} {
		if f, err := os.Open("/proc/1/" + name); err == nil {
			_ = f.Close()
			_, _ = fmt.Fprintln(out, name)
		}
	}
	for _, name := range []string{"fd", "root", "cwd"} {
		inside, err := os.ReadDir("/proc/1/" + name + "/")
		if err == nil {
			_, _ = fmt.Fprintf(out, "%s, with %d entries\n", name, len(inside))
		}
	}
	_, _ = fmt.Fprintln(out, "tried")
}

// LookTold is Look where the kernel, gVisor's, lets everybody read the first lines of a process:
// its environment, its map, its vector and the numbers of its descriptors. What is left to try is
// what these could lead to: its memory, its places, and each of its descriptors.
func LookTold(out io.Writer) {
	for _, name := range []string{"mem", "exe"} {
		if f, err := os.Open("/proc/1/" + name); err == nil {
			_ = f.Close()
			_, _ = fmt.Fprintln(out, name)
		}
	}
	for _, name := range []string{"root", "cwd", "ns"} {
		if inside, err := os.ReadDir("/proc/1/" + name + "/"); err == nil {
			_, _ = fmt.Fprintf(out, "%s, with %d entries\n", name, len(inside))
		}
	}
	numbers, _ := os.ReadDir("/proc/1/fd") // closed altogether would be as well
	own := descriptors()
	for _, n := range numbers {
		name := "/proc/1/fd/" + n.Name()
		for _, how := range []int{unix.O_RDONLY, unix.O_WRONLY} {
			// Of this program's own streams init holds the other ends; and what has a name
			// that opens it is not opened through init.
			if f, ok := opened(name, how); ok && !own[f] && !named(name, how, f) {
				_, _ = fmt.Fprintln(out, "descriptor", n.Name())
			}
		}
	}
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1, 0, 0, 0, 0); errno == 0 {
		_, _ = fmt.Fprintln(out, "ptrace")
	}
	_, _ = fmt.Fprintln(out, "tried")
}

// identity tells one file from another.
type identity struct{ device, inode uint64 }

// descriptors are what this program itself has as standard streams.
func descriptors() map[identity]bool {
	own := make(map[identity]bool)
	for fd := range 3 {
		if f, ok := identify(fd); ok {
			own[f] = true
		}
	}
	return own
}

// named is whether a descriptor's file is one that everybody can open like that by its name.
func named(link string, how int, f identity) bool {
	name, err := os.Readlink(link)
	if err != nil || !strings.HasPrefix(name, "/") {
		return false
	}
	same, ok := opened(name, how)
	return ok && same == f && f != (identity{})
}

func opened(name string, how int) (identity, bool) {
	fd, err := unix.Open(name, how|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return identity{}, false
	}
	defer unix.Close(fd)
	f, _ := identify(fd) // of a file that does not tell it, no name is the same
	return f, true
}

func identify(fd int) (identity, bool) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return identity{}, false
	}
	return identity{uint64(st.Dev), st.Ino}, true //nolint:unconvert // its size differs by architecture
}
