package undo_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/undo"
)

func TestUnwindRunsAllInReverseAfterCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var order []string
	var s undo.Stack
	boom := errors.New("boom")
	s.Push("a", func(ctx context.Context) error { order = append(order, "a"); return ctx.Err() })
	s.Push("b", func(context.Context) error { order = append(order, "b"); return boom })
	s.Push("c", func(context.Context) error { order = append(order, "c"); return nil })
	err := s.Unwind(ctx, time.Minute)
	if !errors.Is(err, boom) || err.Error() != "cannot undo b: boom" {
		t.Errorf("error %v", err)
	}
	if want := []string{"c", "b", "a"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if err := s.Unwind(ctx, time.Minute); err != nil || len(order) != 3 {
		t.Errorf("a second unwind ran steps again: %v %v", err, order)
	}
}

func TestCommitForgets(t *testing.T) {
	var s undo.Stack
	s.Push("a", func(context.Context) error { t.Error("ran"); return nil })
	s.Commit()
	if err := s.Unwind(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
}
