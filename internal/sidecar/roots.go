package sidecar

import (
	"crypto/x509"

	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
)

// openings are what the fence leaves open.
func openings() fence.Options {
	files, dirs := fence.Network()
	return fence.Options{ReadFiles: files, ReadDirs: dirs, MaxFileSize: maxLog}
}

// loadRoots makes the x509 package load the system's certificates before the first request needs
// them. It runs behind the fence, which leaves their folders readable, and once the bottle is made:
// it keeps a processor busy for as long as the rest of a start takes. Where there are none, every
// upstream fails its check.
func loadRoots() error {
	_, _ = x509.SystemCertPool()
	return nil
}
