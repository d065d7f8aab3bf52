//go:build linux

package gate

import (
	"context"
	"os/exec"
	"syscall"
)

// CanIsolate reports whether a program can be started in namespaces of its own here.
func CanIsolate(ctx context.Context, git string) bool {
	cmd := exec.CommandContext(ctx, git, "version")
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
	}
	return cmd.Run() == nil
}
