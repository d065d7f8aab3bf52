package guest

import (
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/bot-bottle/bot-bottle/internal/guest/rootfs"
)

// probe does, in namespaces of its own that vanish with it, what an old kernel or a stricter
// host refuses. The first refusal is its output.
func probe() int {
	var work errgroup.Group
	work.Go(func() error {
		listeners, err := network()
		if err != nil {
			return err
		}
		return listeners.Close()
	})
	work.Go(rootfs.Probe)
	if err := work.Wait(); err != nil {
		fmt.Fprintln(os.Stdout, err)
		return 1
	}
	return 0
}
