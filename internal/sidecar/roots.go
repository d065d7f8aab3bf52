package sidecar

import (
	"crypto/x509"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
)

// openings are what the fence leaves open.
func openings() fence.Options {
	files, dirs := resolverFiles()
	certFiles, certDirs := certificates()
	return fence.Options{
		ReadFiles: append(files, certFiles...), ReadDirs: append(dirs, certDirs...), MaxFileSize: maxLog,
	}
}

// loadRoots makes the x509 package load the system's certificates before the first request needs
// them. It runs behind the fence, which leaves their folders readable, and once the bottle is made:
// it keeps a processor busy for as long as the rest of a start takes. Where there are none, every
// upstream fails its check.
func loadRoots() error {
	_, _ = x509.SystemCertPool()
	return nil
}

// certificates are where crypto/x509 looks on Linux, and where the links there lead.
func certificates() (files, dirs []string) {
	files = []string{"/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem", "/etc/pki/tls/cacert.pem"}
	dirs = []string{"/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/etc/ca-certificates/extracted",
		"/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/pki/trust", "/var/lib/ca-certificates"}
	return files, dirs
}

// resolverFiles are what the resolver of the net package reads again while it runs, and the
// folder of the real resolv.conf where that is one below /run that a network manager rewrites.
func resolverFiles() (files, dirs []string) {
	files = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"}
	real, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if dir := filepath.Dir(real); err == nil && strings.HasPrefix(dir, "/run/") {
		dirs = append(dirs, dir)
	}
	return files, dirs
}
