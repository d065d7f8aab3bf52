// Package host gathers facts about this machine.
//
// Its one rule: it only reads, and a fact that cannot be read is the one that promises less.
package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Facts are what decides whether a bottle can be held by this kernel.
type Facts struct {
	Root        bool
	Kernel      Version
	Release     string // as uname -r prints it
	MaxUserNS   int    // user.max_user_namespaces; -1 where the kernel has none
	UserNSClone bool   // kernel.unprivileged_userns_clone, where a kernel has the switch
	// AppArmorUserNS is kernel.apparmor_restrict_unprivileged_userns, as on Ubuntu since 23.10.
	AppArmorUserNS bool
	Landlock       int // ABI, 0 without
	Seccomp        bool
}

// Version of a kernel.
type Version struct{ Major, Minor int }

// Before tells whether v is older.
func (v Version) Before(o Version) bool {
	return v.Major < o.Major || v.Major == o.Major && v.Minor < o.Minor
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Gather reads the facts of this machine.
func Gather() Facts {
	f := Facts{Root: os.Geteuid() == 0, MaxUserNS: number("/proc/sys/user/max_user_namespaces", -1)}
	f.UserNSClone = number("/proc/sys/kernel/unprivileged_userns_clone", 1) != 0
	f.AppArmorUserNS = number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		f.Release = unix.ByteSliceToString(name.Release[:])
		f.Kernel = ParseVersion(f.Release)
	}
	f.Landlock = landlockABI()
	f.Seccomp = hasSeccomp()
	return f
}

// ParseVersion reads the start of a kernel's release; what it cannot read is 0.
func ParseVersion(release string) (v Version) {
	_, _ = fmt.Sscanf(release, "%d.%d", &v.Major, &v.Minor)
	return v
}

func number(path string, otherwise int) int {
	content, err := os.ReadFile(path)
	if err != nil {
		return otherwise
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return otherwise
	}
	return n
}

func landlockABI() int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
}

// hasSeccomp asks for a filter without giving one: a kernel that has it stumbles over the address.
func hasSeccomp() bool {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, 0)
	return errno == unix.EFAULT
}
