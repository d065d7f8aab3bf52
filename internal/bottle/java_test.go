package bottle

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"

	"github.com/bot-bottle/bot-bottle/internal/ca"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func TestAJVMReadsTheAuthorityAndTheHostsRoots(t *testing.T) {
	authority, err := ca.New("a bottle", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	own := string(authority.CertificatePEM())
	f, err := javaTrust(own)
	if err != nil {
		t.Fatal(err)
	}
	store := keystore.New(keystore.WithOrderedAliases())
	if err := store.Load(strings.NewReader(f.Content), []byte(plan.JavaTrustPassword)); err != nil {
		t.Fatal(err)
	}
	want, err := certificates([]byte(own))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range hostBundles() {
		if raw, err := os.ReadFile(path); err == nil {
			roots, err := certificates(raw)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, roots...)
			break
		}
	}
	aliases := store.Aliases()
	if len(aliases) != len(want) {
		t.Fatalf("%d entries of %d", len(aliases), len(want))
	}
	for i, alias := range aliases {
		entry, err := store.GetTrustedCertificateEntry(alias)
		if err != nil || !bytes.Equal(entry.Certificate.Content, want[i]) {
			t.Errorf("%s: %v, or another certificate", alias, err)
		}
	}
}

func TestATrustStoreOfNothingIsRefused(t *testing.T) {
	if f, err := javaTrust("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"); err == nil {
		t.Errorf("it made %d bytes", len(f.Content))
	}
}
