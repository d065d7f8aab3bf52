package bottle

import (
	"context"
	"os"
)

// Keep makes a snapshot of a directory within a budget, and reports how many things were left out.
func Keep(ctx context.Context, from, to *os.Root, dir string, bytes int64, entries int) (left int, err error) {
	k := &keeping{ctx: ctx, from: from, to: to, bytes: bytes, entries: entries}
	err = k.directory(dir, ".", 0)
	return k.left, err
}
