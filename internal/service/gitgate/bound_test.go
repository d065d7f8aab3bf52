//go:build linux

package gitgate

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestALimitIsNeverRaised(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	const low, high = 1 << 30, 4 << 30
	if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: low, Max: low}, nil); err != nil {
		t.Fatal(err)
	}
	if err := bound(cmd.Process.Pid, high, 900); err != nil {
		t.Fatal(err)
	}
	for resource, want := range map[int]uint64{unix.RLIMIT_AS: low, unix.RLIMIT_CPU: 900} {
		var has unix.Rlimit
		if err := unix.Prlimit(cmd.Process.Pid, resource, nil, &has); err != nil || has.Max != want || has.Cur != want {
			t.Errorf("limit %d is %+v, want %d, %v", resource, has, want, err)
		}
	}
}
