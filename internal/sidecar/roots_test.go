package sidecar_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/sidecar"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
)

// countRoots is what runs behind the fence, or without it.
func countRoots(fenced bool) int {
	if fenced {
		if _, err := fence.Raise(sidecar.Openings()); err != nil {
			panic(err)
		}
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		panic(err)
	}
	fmt.Print(len(pool.Subjects())) //nolint:staticcheck // the number is what matters
	return 0
}

func TestSystemRootsLoadBehindTheFence(t *testing.T) {
	var counts []string
	for _, mode := range []string{"open", "fenced"} {
		cmd := exec.Command("/proc/self/exe", "count-roots", mode)
		cmd.Env = []string{}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(mode, err)
		}
		counts = append(counts, string(out))
	}
	if counts[0] == "0" {
		need.Require(t, need.Native, errors.New("there are no certificates of the system"))
	}
	if counts[0] != counts[1] {
		t.Errorf("%s certificates without the fence, %s behind it", counts[0], counts[1])
	}
}
