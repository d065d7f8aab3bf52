package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// TestWhatAnInterruptBreaksOffIsNoFailure: the code of the process follows the person, not the place that
// was reached.
func TestWhatAnInterruptBreaksOffIsNoFailure(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		err   error
		code  int // without an interrupt
		after int
	}{
		"an end without a failure":         {nil, 0, 0},
		"the agent's own code":             {exit{7}, 7, 7},
		"the agent's own, wrapped":         {fmt.Errorf("x: %w", exit{7}), 7, 7},
		"a build that is given up":         {fault.New(fault.Invalid, "cannot build: %w", context.Canceled), 1, 130},
		"a connection that is given up":    {fmt.Errorf("cannot make: %w", io.ErrUnexpectedEOF), 1, 130},
		"an engine that seems unreachable": {fault.New(fault.Unavailable, "the engine does not answer"), 13, 130},
		"with what could not be undone":    {errors.Join(context.Canceled, errors.New("cannot undo x")), 130, 130},
		"a question that was declined":     {fault.New(fault.Canceled, "not started"), 130, 130},
	} {
		t.Run(name, func(t *testing.T) {
			for ctx, want := range map[context.Context]int{t.Context(): c.code, ended: c.after} {
				err := interrupted(ctx, c.err)
				got := fault.ExitCode(err)
				if own := (exit{}); errors.As(err, &own) {
					got = own.code
				}
				if got != want {
					t.Errorf("%v: %d, want %d", err, got, want)
				}
			}
		})
	}
}
