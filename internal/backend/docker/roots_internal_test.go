package docker

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestRootsAreTheHostsOrElseCompiledIn(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	compiled := x509.NewCertPool()
	if !compiled.AppendCertsFromPEM(hostBundle([]string{missing})) || len(compiled.Subjects()) < 100 { //nolint:staticcheck // the number is what matters
		t.Errorf("%d roots are compiled in", len(compiled.Subjects())) //nolint:staticcheck // as above
	}
	own := filepath.Join(t.TempDir(), "own.pem")
	if err := os.WriteFile(own, []byte("the host's own"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := hostBundle([]string{missing, own}); string(got) != "the host's own" {
		t.Errorf("with a bundle on the host: %.40q", got)
	}
}
