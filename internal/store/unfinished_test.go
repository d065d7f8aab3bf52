package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/store"
)

// left makes what a killed commit leaves.
func left(t *testing.T, h *store.Home, name string) string {
	t.Helper()
	dir := filepath.Join(h.Root(), "frozen", name)
	if err := os.MkdirAll(filepath.Join(dir, "home", "secret"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWhatAKilledCommitLeftIsFoundAndRemoved(t *testing.T) {
	h := home(t)
	if all, err := h.Unfinished(); len(all) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", all, err)
	}
	dead, alive := left(t, h, ".new-1"), left(t, h, ".new-2")
	left(t, h, "api-abcde") // a whole copy
	owner, err := os.Open(alive)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if err := syscall.Flock(int(owner.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if all, err := h.Unfinished(); err != nil || !slices.Equal(all, []string{dead}) {
		t.Errorf("found %v, %v", all, err)
	}
	for _, dir := range []string{dead, alive} {
		if err := h.RemoveUnfinished(dir); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(alive, "home", "secret")); err != nil {
		t.Errorf("what a living commit has in hand was removed: %v", err)
	}
}

// TestACopyThatWasAboutToBeReplacedGoesBack has a commit that was killed between its two renames.
func TestACopyThatWasAboutToBeReplacedGoesBack(t *testing.T) {
	h := home(t)
	r := own(t, h, "api-abcde")
	for range 2 { // the second replaces the first
		if _, _, err := h.Freeze(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := h.Unfinished(); len(all) != 0 || err != nil {
		t.Errorf("two whole commits leave %v, %v", all, err)
	}
	f, err := h.Frozen("api-abcde")
	if err != nil {
		t.Fatal(err)
	}
	before := left(t, h, ".new-1") + "-before"
	if err := os.Rename(f.Dir(), before); err != nil {
		t.Fatal(err)
	}
	all, err := h.Unfinished()
	if err != nil || len(all) != 2 {
		t.Errorf("found %v, %v", all, err)
	}
	for _, dir := range all {
		if err := h.RemoveUnfinished(dir); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.Frozen("api-abcde"); err != nil {
		t.Errorf("the copy is lost: %v", err)
	}
	if all, err := h.Unfinished(); len(all) != 0 || err != nil {
		t.Errorf("left: %v, %v", all, err)
	}
}
