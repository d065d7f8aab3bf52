package ca_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ca"
)

func newCA(t testing.TB, now func() time.Time) (*ca.CA, *x509.CertPool) {
	t.Helper()
	authority, err := ca.New("bottle test", now)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority.CertificatePEM()) {
		t.Fatal("the CA's PEM holds no certificate")
	}
	return authority, pool
}

func TestLeafIsTrustedForItsHostOnly(t *testing.T) {
	authority, pool := newCA(t, time.Now)
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".example"
	for _, host := range []string{"api.example.org", "192.0.2.7", "2001:db8::7", long} {
		leaf, err := authority.Leaf(host)
		if err != nil {
			t.Fatal(err)
		}
		name := host
		if strings.Contains(host, ":") {
			name = "[" + host + "]"
		}
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if leaf.Leaf.VerifyHostname("other.example.org") == nil {
			t.Errorf("the leaf of %s holds for another host", host)
		}
		if leaf.Leaf.IsCA {
			t.Errorf("the leaf of %s can sign", host)
		}
	}
}

func TestOneLeafForManyAtOnce(t *testing.T) {
	authority, _ := newCA(t, time.Now)
	var wg sync.WaitGroup
	got := make([]string, 16)
	for i := range got {
		wg.Go(func() {
			leaf, err := authority.Leaf("same.example")
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = leaf.Leaf.SerialNumber.String()
		})
	}
	wg.Wait()
	again, err := authority.Leaf("same.example")
	if err != nil {
		t.Fatal(err)
	}
	last := again.Leaf.SerialNumber.String()
	for _, serial := range got[1:] {
		if serial == "" {
			t.Fatal("a leaf is missing")
		}
	}
	if got[0] == "" || last == "" {
		t.Fatal("a leaf is missing")
	}
}

func TestLeafIsMadeAgainBeforeItEnds(t *testing.T) {
	now := time.Now()
	authority, _ := newCA(t, func() time.Time { return now })
	first, err := authority.Leaf("a.example")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(20 * 24 * time.Hour)
	second, err := authority.Leaf("a.example")
	if err != nil {
		t.Fatal(err)
	}
	if first == second || !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Fatal("the leaf was not renewed")
	}
}

func TestValidityIsBackdated(t *testing.T) {
	authority, pool := newCA(t, time.Now)
	leaf, err := authority.Leaf("a.example")
	if err != nil {
		t.Fatal(err)
	}
	behind := time.Now().Add(-24 * time.Hour)
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: behind}); err != nil {
		t.Fatalf("a clock that is a day behind does not accept it: %v", err)
	}
}

func TestMadeUpNamesDoNotGrowTheCacheWithoutEnd(t *testing.T) {
	authority, _ := newCA(t, time.Now)
	for i := range 1100 {
		if _, err := authority.Leaf(fmt.Sprintf("n%d.example", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := ca.CachedLeaves(authority); n > 1024 {
		t.Fatalf("%d leaves are kept", n)
	}
}

func TestThePEMHoldsNoKey(t *testing.T) {
	authority, _ := newCA(t, time.Now)
	block, rest := pem.Decode(authority.CertificatePEM())
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		t.Fatal("the PEM is not exactly one certificate")
	}
}

func BenchmarkCAWithFirstLeaf(b *testing.B) {
	for b.Loop() {
		authority, err := ca.New("bench", time.Now)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := authority.Leaf("a.example"); err != nil {
			b.Fatal(err)
		}
	}
}
