package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

func TestKindSurvivesWrappingAndHints(t *testing.T) {
	cause := errors.New("no such file")
	err := fault.New(fault.NotFound, "cannot open %q: %w", "x", cause)
	err = fmt.Errorf("while starting: %w", err)
	err = fault.WithHint(err, "run %s", "bot-bottle init")
	if !fault.Is(err, fault.NotFound) || !errors.Is(err, cause) {
		t.Fatalf("kind %v, is cause %v", fault.KindOf(err), errors.Is(err, cause))
	}
	if got, want := err.Error(), `while starting: cannot open "x": no such file`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := fault.HintOf(fmt.Errorf("outer: %w", err)); got != "run bot-bottle init" {
		t.Errorf("hint %q", got)
	}
	if fault.WithHint(nil, "x") != nil {
		t.Error("a hint turned success into an error")
	}
}

func TestExitCodes(t *testing.T) {
	for err, want := range map[error]int{
		nil:                                   0,
		errors.New("x"):                       1,
		fault.New(fault.Usage, "x"):           2,
		fault.New(fault.Partial, "x"):         3,
		fault.New(fault.NotFound, "x"):        10,
		fault.New(fault.Busy, "x"):            11,
		fault.New(fault.Exists, "x"):          11,
		fault.New(fault.Denied, "x"):          12,
		fault.New(fault.Unavailable, "x"):     13,
		fault.New(fault.Invalid, "x"):         1,
		fmt.Errorf("x: %w", context.Canceled): 130,
	} {
		if got := fault.ExitCode(err); got != want {
			t.Errorf("ExitCode(%v) = %d, want %d", err, got, want)
		}
	}
}
