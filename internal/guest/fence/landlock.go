package fence

import (
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// All rights over files of Landlock ABI 6; see landlock(7).
//
// Its scopes of signals and abstract sockets are left out: before ABI 8 every thread gets a domain
// of its own, so that init could not signal what another of its threads started. The namespaces
// of the bottle are these fences already.
const fileRights = 1<<16 - 1

// Landlock confines writing to the given directories and reading to what is mounted. It returns
// the ABI that the kernel offers, 0 where it has no Landlock; rights that an older kernel does not
// know are left out. It is the second fence: the first one is what is mounted and how.
func Landlock(writable ...string) (abi int, err error) {
	abi, err = ll.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		return 0, nil //nolint:nilerr // a kernel without it has version 0
	}
	// The network is the namespace's business; handling it here would close it altogether.
	config, err := landlock.NewConfig(landlock.AccessFSSet(fileRights))
	if err != nil {
		return 0, fmt.Errorf("cannot restrict with Landlock: %w", err)
	}
	err = config.BestEffort().Restrict(
		landlock.RODirs("/"),
		landlock.RWDirs(writable...).WithRefer().WithIoctlDev().IgnoreIfMissing(),
	)
	if err != nil {
		return 0, fmt.Errorf("cannot restrict with Landlock: %w", err)
	}
	return abi, nil
}
