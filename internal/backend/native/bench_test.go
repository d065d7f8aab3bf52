package native_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/native"
)

// BenchmarkStart is a bottle from nothing to its first command's end, with a sidecar that does
// nothing.
func BenchmarkStart(b *testing.B) {
	root := b.TempDir()
	d := native.New(native.Config{Self: []string{"/proc/self/exe"}, Root: root})
	ctx := context.Background()
	for b.Loop() {
		p := backendtest.Plan(root)
		h, err := d.Prepare(ctx, p)
		if err == nil {
			_, err = d.Launch(ctx, h)
		}
		if err == nil {
			_, err = d.Exec(ctx, h, backend.Command{Args: []string{"true"}}, backend.Stdio{})
		}
		b.StopTimer()
		if err = errors.Join(err, d.Teardown(ctx, h)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
