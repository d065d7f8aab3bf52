package bottle

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// hostBundles are where distributions keep their roots.
func hostBundles() []string {
	return []string{plan.CABundle, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}
}

// hasJava reports whether a bottle can see a JVM of the host.
func hasJava() bool {
	_, err := os.Stat("/usr/bin/java")
	return err == nil
}

// javaTrust is a PKCS #12 trust store (RFC 7292) with the bottle's own authority beside the host's
// roots: a JVM reads no PEM bundle.
func javaTrust(own string) (plan.File, error) {
	certs, err := parseAll([]byte(own))
	if err != nil {
		return plan.File{}, fault.New(fault.Internal, "cannot read the bottle's certificate: %w", err)
	}
	for _, path := range hostBundles() {
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return plan.File{}, fault.New(fault.Internal, "cannot read the host's roots: %w", err)
		}
		roots, err := parseAll(raw)
		if err != nil {
			return plan.File{}, fault.New(fault.Internal, "cannot read the host's roots in %s: %w", path, err)
		}
		certs = append(certs, roots...)
		break
	}
	store, err := pkcs12.Modern.EncodeTrustStore(certs, plan.JavaTrustPassword)
	if err != nil {
		return plan.File{}, fault.New(fault.Internal, "cannot make the trust store for Java: %w", err)
	}
	return plan.File{Path: plan.JavaTrust, Mode: 0o644, Content: string(store)}, nil
}

// parseAll reads the certificates of a bundle and passes over what Go does not accept, as every
// reader of the host's bundle does.
func parseAll(raw []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		block, rest := pem.Decode(raw)
		if block == nil {
			break
		}
		raw = rest
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, cert)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return out, nil
}
