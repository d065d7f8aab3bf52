package store_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

func TestTheUsersKeyIsMadeOnceAndItsOwn(t *testing.T) {
	h := home(t)
	var all [8]string
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			key, err := h.Key()
			if err != nil {
				t.Error(err)
			}
			all[i] = key.Reveal()
		})
	}
	wg.Wait()
	for _, key := range all {
		if key != all[0] || len(key) != 64 {
			t.Fatalf("of eight askers one has another key, of %d bytes", len(key))
		}
	}
	entries, err := os.ReadDir(h.Root())
	if err != nil || len(entries) != 1 {
		t.Errorf("the home has %v, %v", entries, err)
	}
	path := filepath.Join(h.Root(), entries[0].Name())
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Key(); !fault.Is(err, fault.Invalid) {
		t.Errorf("a cut key gives %v", err)
	}
}
