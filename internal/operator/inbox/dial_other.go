//go:build !linux

package inbox

import (
	"context"
	"net"
	"os"
	"path/filepath"
)

// dialIn connects to a socket in a directory, by a short path: an address holds 103 bytes.
func dialIn(ctx context.Context, dir, name string) (net.Conn, error) {
	short, err := os.MkdirTemp("/tmp", "bb")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(short) }()
	link := filepath.Join(short, "d")
	if err := os.Symlink(dir, link); err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", filepath.Join(link, name))
}
