// Package fault gives errors a kind for control flow and a hint for the person who reads them.
//
// Its one rule: a kind is attached where the cause is known, and turned into words and an exit
// code once, at the edge.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what a caller may do about an error.
type Kind uint8

// The kinds, coarse on purpose: each one leads to another reaction.
const (
	Internal    Kind = iota // a defect or a failure of the machine
	Invalid                 // what the user wrote is wrong
	NotFound                // the named thing does not exist
	Exists                  // the name is taken
	Busy                    // the thing is in use by another run
	Denied                  // policy or permission refuses
	Unsupported             // this machine or backend cannot do it
	Unavailable             // it should work but does not answer
	Canceled                // the user or a deadline ended it
	Usage                   // the command line is wrong
	Partial                 // some of it was done
)

var names = [...]string{"internal", "invalid", "not found", "exists", "busy", "denied", "unsupported", "unavailable", "canceled", "usage", "partial"}

func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is a cause with its kind and a hint. The zero Hint means there is nothing to add.
type Error struct {
	Kind  Kind
	Hint  string
	Cause error
}

func (e *Error) Error() string { return e.Cause.Error() }

// Unwrap makes the cause visible to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// New formats an error of the given kind; the format takes %w like fmt.Errorf.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Cause: fmt.Errorf(format, args...)}
}

// WithHint returns err with a sentence that says what to do next; a nil err stays nil.
func WithHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindOf(err), Hint: fmt.Sprintf(format, args...), Cause: err}
}

// KindOf returns the kind of the outermost Error in the chain; Canceled for a context's end;
// Internal where nothing says otherwise.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Canceled
	}
	return Internal
}

// Is reports whether err is of the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// HintOf returns the outermost hint in the chain, or "".
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Cause
	}
	return ""
}

// ExitCode maps an error to the exit codes of the command line: 0 ok, 1 error, 2 usage,
// 3 partial, 10 not found, 11 busy, 12 denied by policy, 13 backend unavailable, 130 interrupted.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	switch KindOf(err) {
	case Usage:
		return 2
	case Partial:
		return 3
	case NotFound:
		return 10
	case Busy, Exists:
		return 11
	case Denied:
		return 12
	case Unavailable, Unsupported:
		return 13
	case Canceled:
		return 130
	default:
		return 1
	}
}
