package bottle

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"

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

// javaTrust is a trust store in Java's own form (JKS) with the bottle's own authority beside the
// host's roots: a JVM reads no PEM bundle. The form takes the roots as they are; PKCS #12 has each
// of them parsed and two keys derived, which a start would notice.
func javaTrust(own string) (plan.File, error) {
	certs, err := certificates([]byte(own))
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
		roots, err := certificates(raw)
		if err != nil {
			return plan.File{}, fault.New(fault.Internal, "cannot read the host's roots in %s: %w", path, err)
		}
		certs = append(certs, roots...)
		break
	}
	store, made := keystore.New(keystore.WithOrderedAliases()), time.Now()
	for i, der := range certs {
		entry := keystore.TrustedCertificateEntry{CreationTime: made, Certificate: keystore.Certificate{Type: "X.509", Content: der}}
		if err := store.SetTrustedCertificateEntry(fmt.Sprintf("root-%04d", i), entry); err != nil {
			return plan.File{}, fault.New(fault.Internal, "cannot make the trust store for Java: %w", err)
		}
	}
	var out bytes.Buffer
	if err := store.Store(&out, []byte(plan.JavaTrustPassword)); err != nil {
		return plan.File{}, fault.New(fault.Internal, "cannot make the trust store for Java: %w", err)
	}
	return plan.File{Path: plan.JavaTrust, Mode: 0o644, Content: out.String()}, nil
}

// certificates are the DER forms in a bundle.
func certificates(raw []byte) ([][]byte, error) {
	var out [][]byte
	for {
		block, rest := pem.Decode(raw)
		if block == nil {
			break
		}
		raw = rest
		if block.Type == "CERTIFICATE" {
			out = append(out, block.Bytes)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return out, nil
}
