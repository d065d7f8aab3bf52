package desk_test

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/desk"
)

func TestALineThatWasWrittenInPartSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.jsonl")
	d := open(t, path, &table{})
	p, err := d.Submit(question("a.example"), 0)
	if err != nil {
		t.Fatal(err)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	full := func(limit uint64) {
		t.Helper()
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
	}
	signal.Ignore(syscall.SIGXFSZ)
	t.Cleanup(func() {
		full(before.Cur)
		signal.Reset(syscall.SIGXFSZ)
	})
	full(uint64(len(must(os.ReadFile(path)))) + 20)
	if _, err := d.Decide(approve(p, ask.Run)); err == nil {
		t.Fatal("it was decided on a full disk")
	}
	full(before.Cur)
	if _, err := d.Decide(approve(p, ask.Run)); err != nil {
		t.Fatalf("it cannot be decided once there is room: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := desk.Read(path, "api-abcde")
	if err != nil || len(all) != 1 || all[0].State != ask.Granted {
		t.Errorf("the journal says %+v, %v", all, err)
	}
}
