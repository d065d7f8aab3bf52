package docker

import (
	"bytes"
	"encoding/pem"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// bundles are where systems keep their trusted certificates in one file.
func bundles() []string {
	return []string{
		plan.CABundle,
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem",
	}
}

// hostBundle is the host's trusted certificates, from the first of the files that is there; where
// there is none, those that are compiled in.
func hostBundle(files []string) []byte {
	for _, name := range files {
		if content, err := os.ReadFile(name); err == nil && len(content) > 0 {
			return content
		}
	}
	return compiledRoots()
}

// compiledRoots are Mozilla's, without those that it trusts under conditions only, which a file
// of certificates cannot hold.
func compiledRoots() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return out.Bytes()
}
