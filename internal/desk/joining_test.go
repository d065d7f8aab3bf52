package desk_test

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
)

func TestWhoJoinsAHeldQuestionMovesItsEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := open(t, filepath.Join(dir, "p.jsonl"), &table{})
		begin := time.Now()
		first, stopFirst := context.WithTimeout(t.Context(), 30*time.Second)
		defer stopFirst()
		_, a := asked(t, d, first, question("a.example"))
		time.Sleep(20 * time.Second) // the bubble's clock
		second, stopSecond := context.WithTimeout(t.Context(), 30*time.Second)
		defer stopSecond()
		_, b := asked(t, d, second, question("a.example"))
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if got := <-a; got.Verdict != ask.Expired {
			t.Errorf("the first got %+v", got)
		}
		p := d.Snapshot(t.Context(), 0).Proposals[0]
		if p.Held != 1 || !p.ExpiresAt.Equal(begin.Add(50*time.Second)) {
			t.Errorf("it is held by %d until %s", p.Held, p.ExpiresAt)
		}
		if _, err := d.Decide(approve(p, ask.Once)); err != nil {
			t.Errorf("it cannot be decided while somebody waits: %v", err)
		}
		synctest.Wait()
		if got := <-b; got.Verdict != ask.Approved {
			t.Errorf("the second got %+v", got)
		}
	})
}

func TestASubmissionThatOutlivesItsHolderDoesNotStayOpen(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := open(t, filepath.Join(dir, "p.jsonl"), &table{})
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		_, a := asked(t, d, ctx, question("a.example"))
		p, err := d.Submit(question("a.example"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if got := <-a; got.Verdict != ask.Expired {
			t.Errorf("the holder got %+v", got)
		}
		if now, err := d.Proposal(p.ID); err != nil || now.State != ask.Lapsed {
			t.Errorf("it is %s, %v", now.State, err)
		}
	})
}
