package native_test

import (
	"context"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
)

// late is a context that ends when somebody begins to wait for its end: here, when the guest is told
// to set up, and both processes run.
type late struct {
	context.Context
	end func()
}

func (l late) Done() <-chan struct{} {
	l.end()
	return l.Context.Done()
}

// TestAnInterruptedPrepareLeavesNothing ends a start while the guest lives: its cgroup can only be
// removed after it.
func TestAnInterruptedPrepareLeavesNothing(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := d.Prepare(late{ctx, sync.OnceFunc(cancel)}, backendtest.Plan(root)); err == nil {
		t.Fatal("it was not interrupted")
	}
	if left, err := d.List(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
}
