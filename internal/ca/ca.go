// Package ca makes the certificates with which one bottle's TLS is opened.
//
// Its one rule: the keys are made in memory, belong to one run, and are never serialised.
package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	backdate     = 48 * time.Hour // a clock in the bottle or a resumed VM may be behind
	caLifetime   = 365 * 24 * time.Hour
	leafLifetime = 30 * 24 * time.Hour
	// maxLeaves bounds the cache: below a wildcard the agent can make up names without end.
	maxLeaves = 1024
)

// CA signs leaves for the hosts of one bottle. It is safe for concurrent use.
type CA struct {
	key     *ecdsa.PrivateKey
	cert    *x509.Certificate
	pem     []byte
	leafKey *ecdsa.PrivateKey // one for all leaves: whoever reads it could read the CA's as well
	now     func() time.Time
	making  singleflight.Group

	mu     sync.Mutex // guards leaves
	leaves map[string]*tls.Certificate
}

// New makes a CA whose common name is name. now is the clock for validity.
func New(name string, now func() time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make CA key: %w", err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make leaf key: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name, Organization: []string{"bot-bottle"}},
		NotBefore:             now().Add(-backdate),
		NotAfter:              now().Add(caLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign CA certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read back CA certificate: %w", err)
	}
	return &CA{
		key: key, cert: cert, leafKey: leafKey, now: now,
		pem:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		leaves: map[string]*tls.Certificate{},
	}, nil
}

// CertificatePEM is the certificate that the bottle must trust.
func (c *CA) CertificatePEM() []byte { return append([]byte(nil), c.pem...) }

// Leaf returns a certificate for a canonical host name or IP address. It is made on first use
// and again when half of its life is over.
func (c *CA) Leaf(host string) (*tls.Certificate, error) {
	c.mu.Lock()
	leaf := c.leaves[host]
	c.mu.Unlock()
	if leaf != nil && c.now().Before(leaf.Leaf.NotAfter.Add(-leafLifetime/2)) {
		return leaf, nil
	}
	made, err, _ := c.making.Do(host, func() (any, error) { return c.issue(host) })
	if err != nil {
		return nil, err
	}
	leaf, ok := made.(*tls.Certificate)
	if !ok {
		return nil, fmt.Errorf("cannot issue a certificate for %s: made a %T", host, made)
	}
	return leaf, nil
}

func (c *CA) issue(host string) (*tls.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             c.now().Add(-backdate),
		NotAfter:              c.now().Add(leafLifetime),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if len(host) <= 64 { // the upper bound of a common name, RFC 5280 appendix A
		template.Subject = pkix.Name{CommonName: host}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, c.leafKey.Public(), c.key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign certificate for %q: %w", host, err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read back certificate for %q: %w", host, err)
	}
	leaf := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.leafKey, Leaf: parsed}
	c.keep(host, leaf)
	return leaf, nil
}

func (c *CA) keep(host string, leaf *tls.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for old := range c.leaves {
		if len(c.leaves) < maxLeaves {
			break
		}
		delete(c.leaves, old)
	}
	c.leaves[host] = leaf
}

func serialNumber() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("cannot make serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}
