package fence

import (
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// landlocked closes the file system but for reading what the options name, signals to processes
// outside, and abstract sockets (landlock(7)). TCP and UDP stay open: dialling is what we do.
func landlocked(o Options) (string, error) {
	return landlockedTo(landlock.V6.Scoped,
		landlock.ROFiles(o.ReadFiles...).IgnoreIfMissing(),
		landlock.RODirs(o.ReadDirs...).IgnoreIfMissing(),
	)
}

func landlockedTo(scoped landlock.ScopedSet, rules ...landlock.Rule) (string, error) {
	abi, err := ll.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		return "no landlock: the kernel does not have it", nil //nolint:nilerr // said in words, and judged by the caller
	}
	config, err := landlock.NewConfig(landlock.V9.HandledAccessFS, scoped)
	if err == nil {
		err = config.BestEffort().Restrict(rules...)
	}
	if err != nil {
		return "", fmt.Errorf("cannot close the file system, signals and abstract sockets: %w", err)
	}
	return fmt.Sprintf("landlock ABI %d", abi), nil
}
