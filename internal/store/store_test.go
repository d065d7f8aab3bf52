package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

func home(t *testing.T) *store.Home {
	t.Helper()
	root := t.TempDir()
	h, err := store.Locate(func(k string) string {
		if k == "BOT_BOTTLE_HOME" {
			return root
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func own(t *testing.T, h *store.Home, id instance.ID) *store.Run {
	t.Helper()
	r := h.Run(id)
	if err := r.Own(store.Record{Identity: id, AgentName: "a", StartedAt: time.Now().UTC()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Unlock)
	return r
}

func TestASecondOwnerIsRefusedUntilTheFirstLetsGo(t *testing.T) {
	h := home(t)
	r := own(t, h, "api-abcde")
	other := h.Run("api-abcde")
	if !other.Running() {
		t.Error("an owned run does not count as running")
	}
	if log, err := os.ReadFile(other.Paths().Audit); err != nil || len(log) != 0 {
		t.Errorf("who finds a new run cannot follow its log: %q, %v", log, err)
	}
	if err := other.Lock(); !fault.Is(err, fault.Busy) {
		t.Errorf("a second owner got %v", err)
	}
	r.Unlock()
	if other.Running() {
		t.Error("a released run counts as running")
	}
	if err := other.Lock(); err != nil {
		t.Error(err)
	}
	other.Unlock()
}

func TestAskingWhoRunsDisturbsNoOwner(t *testing.T) {
	h := home(t)
	r := own(t, h, "api-abcde")
	r.Unlock()
	stop, asked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(asked)
		for {
			select {
			case <-stop:
				return
			default:
				h.Run("api-abcde").Running()
			}
		}
	}()
	for range 20000 {
		if err := r.Lock(); err != nil {
			t.Errorf("a free run could not be locked: %v", err)
			break
		}
		r.Unlock()
	}
	close(stop)
	<-asked
}

func TestANewRunTakesOverNoState(t *testing.T) {
	h := home(t)
	r := own(t, h, "api-abcde")
	r.Unlock()
	if err := h.Run("api-abcde").Own(store.Record{Identity: "api-abcde"}); !fault.Is(err, fault.Exists) {
		t.Errorf("got %v", err)
	}
	if rec, err := r.ReadRecord(); err != nil || rec.AgentName != "a" {
		t.Errorf("the record is now %+v, %v", rec, err)
	}
}

func TestARemovedRunIsNotReopened(t *testing.T) {
	h := home(t)
	r := own(t, h, "api-abcde")
	if err := h.Run("api-abcde").Reopen(store.Record{Identity: "api-abcde"}); !fault.Is(err, fault.Busy) {
		t.Errorf("while it is owned: %v", err)
	}
	if err := r.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := h.Run("api-abcde").Reopen(store.Record{Identity: "api-abcde"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("after its removal: %v", err)
	}
	if _, err := os.Lstat(r.Dir()); !os.IsNotExist(err) {
		t.Errorf("its state is back: %v", err)
	}
}

// One removes, many try to move in: nobody may own what is being removed.
func TestRemovalAndReopeningNeverMeet(t *testing.T) {
	h := home(t)
	for range 300 {
		r := own(t, h, "api-abcde")
		done := make(chan error)
		go func() {
			other := h.Run("api-abcde")
			for {
				err := other.Reopen(store.Record{Identity: "api-abcde", AgentName: "b"})
				if fault.Is(err, fault.Busy) {
					continue
				}
				done <- err
				return
			}
		}()
		err := r.Remove()
		r.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; !fault.Is(err, fault.NotFound) {
			t.Fatalf("reopened while it was removed: %v", err)
		}
		if _, err := os.Lstat(r.Dir()); !os.IsNotExist(err) {
			t.Fatalf("its state is back: %v", err)
		}
	}
}

func TestStateIsPrivateAndListed(t *testing.T) {
	h := home(t)
	r := own(t, h, "api-abcde")
	info, err := os.Stat(r.Dir())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state has mode %v, %v", info.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(h.State(), "Not-An-Identity"), 0o700); err != nil {
		t.Fatal(err)
	}
	ids, err := h.Runs()
	if err != nil || len(ids) != 1 || ids[0] != "api-abcde" {
		t.Errorf("runs %v, %v", ids, err)
	}
	rec, err := r.ReadRecord()
	if err != nil || rec.AgentName != "a" {
		t.Errorf("record %+v, %v", rec, err)
	}
	if _, err := h.Find("api-zzzzz"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a missing run: %v", err)
	}
}

func TestARecordOfAnotherIdentityIsRefused(t *testing.T) {
	h := home(t)
	r := own(t, h, "api-abcde")
	if err := r.WriteRecord(store.Record{Identity: "api-other"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadRecord(); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestPreserveMark(t *testing.T) {
	h := home(t)
	r := own(t, h, "api-abcde")
	if r.Preserved() {
		t.Error("a new run is preserved")
	}
	if err := r.Preserve("exit 3"); err != nil || !r.Preserved() {
		t.Errorf("mark: %v, %v", err, r.Preserved())
	}
	for range 2 {
		if err := r.Unpreserve(); err != nil || r.Preserved() {
			t.Errorf("unmark: %v, %v", err, r.Preserved())
		}
	}
}

func TestRemoveGetsThroughLockedDirectoriesAndDoesNotFollowLinks(t *testing.T) {
	h := home(t)
	r := own(t, h, "api-abcde")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(r.Paths().Home, "a", "b")
	if err := os.MkdirAll(locked, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(locked, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(locked, "dir")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{locked, filepath.Dir(locked)} {
		if err := os.Chmod(d, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(r.Dir()); !os.IsNotExist(err) {
		t.Errorf("state is still there: %v", err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a file behind a link is gone: %v", err)
	}
}

func TestAnUnwritableHomeSaysWhatToDo(t *testing.T) {
	root := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(root, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := store.Locate(func(string) string { return root })
	if err != nil {
		t.Fatal(err)
	}
	err = h.Run("api-abcde").Own(store.Record{Identity: "api-abcde"})
	if err == nil || !strings.Contains(err.Error(), root) {
		t.Errorf("got %v", err)
	}
}
