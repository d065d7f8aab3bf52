// Package undo is a stack of clean-up steps that runs in reverse unless the whole succeeded.
//
// Its one rule: own a thing, then push its undo; never before.
package undo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Step undoes one thing. It must be safe to call when the thing is already gone.
type Step func(context.Context) error

// Stack collects steps. The zero value is ready to use; it is safe for concurrent use.
type Stack struct {
	mu    sync.Mutex
	steps []named
}

type named struct {
	what string
	step Step
}

// Push adds a step; what names the thing in errors, as in "cannot undo <what>".
func (s *Stack) Push(what string, step Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, named{what, step})
}

// Commit forgets all steps: the whole succeeded and its parts now belong to somebody else.
func (s *Stack) Commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = nil
}

// Unwind runs all steps, last pushed first, each one even if another failed, and joins their
// errors with the first one first. It is detached from the cancellation of ctx, so that a
// cancelled start still cleans up, and bounded by limit for all steps together.
func (s *Stack) Unwind(ctx context.Context, limit time.Duration) error {
	s.mu.Lock()
	steps := s.steps
	s.steps = nil
	s.mu.Unlock()
	if len(steps) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		if err := steps[i].step(ctx); err != nil {
			errs = append(errs, fmt.Errorf("cannot undo %s: %w", steps[i].what, err))
		}
	}
	return errors.Join(errs...)
}
