package fence

import (
	"path/filepath"
	"strings"
)

// Network lists the files that dialling by name and checking certificates need.
func Network() (files, dirs []string) {
	files, dirs = resolverFiles()
	certFiles, certDirs := certificates()
	return append(files, certFiles...), append(dirs, certDirs...)
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
