//go:build !linux

package gate

import (
	"context"
	"net"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Process is a gate that this process owns; here there is none.
type Process struct{}

// Start is for Linux, whose fences a gate needs.
func Start(context.Context, []string, net.Conn, Setup) (*Process, error) {
	return nil, fault.WithHint(fault.New(fault.Unsupported, "cannot start the git gate: it needs Linux"), "take git-gate.repos out of the bottle")
}

// Close does nothing.
func (*Process) Close() error { return nil }
