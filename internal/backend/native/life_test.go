package native_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/native"
	"github.com/bot-bottle/bot-bottle/internal/need"
)

// open makes a driver; where this machine cannot hold a bottle the test is skipped, or fails when
// native is required.
func open(t *testing.T, root string) backend.Driver {
	t.Helper()
	d := native.New(native.Config{Self: []string{"/proc/self/exe"}, Root: root})
	c, err := d.Probe(t.Context())
	for _, p := range c.Problems {
		if p.Required {
			err = errors.Join(err, fmt.Errorf("%s: %s", p.What, p.Fix))
		}
	}
	need.Require(t, need.Native, err)
	return d
}

func TestContract(t *testing.T) {
	backendtest.Run(t, open, backendtest.Options{Shell: true, Sealed: true})
}
