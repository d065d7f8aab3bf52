//go:build linux

package gate

import (
	"fmt"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
	"github.com/bot-bottle/bot-bottle/internal/stdio"
)

// runContainer is the gate in a container of its own: its owner speaks on the first stream over the
// standard ones, and the second one is its link to the sidecar.
func runContainer() error {
	streams, err := stdio.Take()
	if err != nil {
		return err
	}
	if err := fence.Enter(0); err != nil {
		return err
	}
	outside, err := mux.Guest(streams)
	if err != nil {
		return err
	}
	defer outside.Close()
	owner, err := outside.Accept()
	if err != nil {
		return fmt.Errorf("cannot reach the owner: %w", err)
	}
	link, err := outside.Accept()
	if err != nil {
		return fmt.Errorf("cannot reach the sidecar: %w", err)
	}
	return live(owner, link, true)
}
