package docker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
)

// TestTheGatesProfile makes calls in a container that has it: a process can be put into the
// namespaces that keep a git from the network, and what these rights could lead to is closed.
func TestTheGatesProfile(t *testing.T) {
	need.Require(t, need.Docker, shared.missing)
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e := shared.engine.Client
	id, err := e.Create(ctx, "", engine.Container{
		AttachStdout: true, AttachStderr: true, User: "65532:65532", Image: enginetest.Image, WorkingDir: "/", Entrypoint: []string{"/program"}, Cmd: []string{callsMode},
		HostConfig: engine.Host{
			NetworkMode: "none", ReadonlyRootfs: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true", "seccomp=" + docker.GateSeccomp()},
			Mounts: []engine.Mount{{Type: "bind", Source: own, Target: "/program", ReadOnly: true}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Remove(context.WithoutCancel(ctx), id) }()
	var errs bytes.Buffer
	conn, err := e.Attach(ctx, id, &errs)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := e.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if want := "isolated: <nil>\ndone\n"; err != nil || string(said) != want {
		t.Errorf("%v\n%s\n%s", err, said, errs.String())
	}
}

// callsMode has the test binary make calls instead.
const callsMode = "calls"

// makeCalls tells each one that is not refused, after whether a process could be isolated.
func makeCalls() int {
	isolated := func(flags uintptr) error {
		cmd := exec.CommandContext(context.Background(), "/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | flags}
		return cmd.Run()
	}
	fmt.Println("isolated:", isolated(unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWNET))
	for name, flags := range map[string]uintptr{"mount": unix.CLONE_NEWNS, "cgroup": unix.CLONE_NEWCGROUP, "uts": unix.CLONE_NEWUTS} {
		if isolated(flags) == nil {
			fmt.Println("open: a namespace:", name)
		}
	}
	for name, family := range map[string]int{"netlink": unix.AF_NETLINK, "packet": unix.AF_PACKET, "vsock": unix.AF_VSOCK, "alg": unix.AF_ALG} {
		if _, err := unix.Socket(family, unix.SOCK_RAW, 0); !errors.Is(err, unix.EPERM) {
			fmt.Println("open: a socket:", name, err)
		}
	}
	for name, nr := range map[string]uintptr{
		"unshare": unix.SYS_UNSHARE, "setns": unix.SYS_SETNS, "mount": unix.SYS_MOUNT, "fsopen": unix.SYS_FSOPEN, "open_tree": unix.SYS_OPEN_TREE,
		"ptrace": unix.SYS_PTRACE, "process_vm_readv": unix.SYS_PROCESS_VM_READV, "pidfd_getfd": unix.SYS_PIDFD_GETFD, "keyctl": unix.SYS_KEYCTL,
		"bpf": unix.SYS_BPF, "io_uring_setup": unix.SYS_IO_URING_SETUP, "userfaultfd": unix.SYS_USERFAULTFD, "perf_event_open": unix.SYS_PERF_EVENT_OPEN,
		"chroot": unix.SYS_CHROOT, "mknodat": unix.SYS_MKNODAT, "open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT,
	} {
		// Arguments that no kernel takes: what is not refused by the filter fails with another error.
		if _, _, errno := unix.Syscall6(nr, ^uintptr(0), ^uintptr(0), ^uintptr(0), ^uintptr(0), ^uintptr(0), 0); errno != unix.EPERM {
			fmt.Println("open:", name, errno)
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_CLONE3, 0, 0, 0); errno != unix.ENOSYS {
		fmt.Println("open: clone3", errno)
	}
	fmt.Println("done")
	return 0
}
