package audit_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
)

func verify(t *testing.T, path string, proof audit.Proof) audit.Report {
	t.Helper()
	proof.ID = run
	r, err := audit.Verify(t.Context(), path, proof)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func reopen(t *testing.T, path string, sealed *audit.Head, said ...audit.Event) audit.Head {
	t.Helper()
	head, _, err := audit.Reopen(t.Context(), path, audit.Proof{ID: run, Sealed: sealed}, said...)
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func seal(t *testing.T, path string) audit.Head {
	t.Helper()
	head, err := audit.Seal(t.Context(), path, audit.Proof{ID: run})
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// write appends n requests and, where ended, the line of a good end.
func write(t *testing.T, path string, head audit.Head, n int, ended bool) {
	t.Helper()
	l := audit.NewLog(open(t, path), head, nil)
	for i := range n {
		l.Record(audit.Event{Kind: "request", Verdict: "allow", Host: "api.example.org", Port: 443, Status: 200, Message: fmt.Sprint("event ", i)})
	}
	if ended {
		l.Record(audit.Event{Kind: "lifecycle", Message: audit.Closing})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// sealed is a log of eight requests, the good end and the seal.
func sealed(t *testing.T) (path string, head audit.Head) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.jsonl")
	write(t, path, audit.Genesis(run), 8, true)
	return path, seal(t, path)
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n")
}

func TestAWholeLogIsProven(t *testing.T) {
	path, head := sealed(t)
	r := verify(t, path, audit.Proof{Sealed: &head, Known: head.Hash.String()[:12]})
	if len(r.Breaks) != 0 || !r.Sealed || r.Lines != 10 || r.Head != head || head.Count != 10 {
		t.Errorf("got %+v", r)
	}
	events, damaged := all(t, path, audit.Filter{Kinds: []string{"seal"}})
	if damaged != 0 || len(events) != 1 || events[0].N != 10 || events[0].Hash != head.Hash.String() || !strings.Contains(events[0].Message, "is complete") {
		t.Errorf("the seal is %+v", events)
	}
}

func TestEachManipulationIsFound(t *testing.T) {
	for name, row := range map[string]struct {
		change func([]string) []string
		want   string
	}{
		"a changed verdict": {func(l []string) []string {
			l[3] = strings.Replace(l[3], `"allow"`, `"deny"`, 1)
			return l
		}, "line 4 was changed"},
		"one changed digit of a hash": {func(l []string) []string {
			at := len(l[3]) - 10
			digit := byte('0')
			if l[3][at] == digit {
				digit = '1'
			}
			l[3] = l[3][:at] + string(digit) + l[3][at+1:]
			return l
		}, "line 4 was changed"},
		"a line whose hash was made anew": {func(l []string) []string {
			l[3] = forge(t, l[2], strings.Replace(l[3], `"allow"`, `"deny"`, 1))
			return l
		}, "line 5 was changed, or the one before it"},
		"a hash that was taken off": {func(l []string) []string {
			l[3] = l[3][:strings.Index(l[3], `,"hash"`)] + "}\n"
			return l
		}, "line 4 has no hash"},
		"a removed line":      {func(l []string) []string { return slices.Delete(l, 3, 4) }, "1 before it are missing"},
		"removed first lines": {func(l []string) []string { return l[2:] }, "2 before it are missing"},
		"two lines that changed places": {func(l []string) []string {
			l[3], l[4] = l[4], l[3]
			return l
		}, "line 5 stands in the wrong place"},
		"a line that was put in": {func(l []string) []string {
			return slices.Insert(l, 3, `{"time":"2026-01-02T03:04:05Z","kind":"request","verdict":"allow"}`+"\n")
		}, "line 4 has no hash: it was put in"},
		"a line that was put in at the front": {func(l []string) []string {
			return slices.Insert(l, 0, `{"time":"2026-01-02T03:04:05Z","kind":"note"}`+"\n")
		}, "line 1 has no hash: it was put in"},
		"a line that was put in at the end": {func(l []string) []string {
			return append(l, "\n"+`{"time":"2026-01-02T03:04:05Z","kind":"note"}`+"\n")
		}, "line 11 has no hash: it was put in"},
		"a line that is there twice": {func(l []string) []string { return slices.Insert(l, 3, l[3]) }, "line 5 stands in the wrong place"},
		"an empty line":              {func(l []string) []string { return slices.Insert(l, 3, "\n") }, "line 4 is empty"},
		"a cut end":                  {func(l []string) []string { return l[:7] }, "the end is missing: it was sealed with 10 lines and has 7"},
		"a seal that was taken off":  {func(l []string) []string { return l[:9] }, "the end is missing"},
		"nothing left":               {func([]string) []string { return nil }, "the end is missing"},
		"another run's log": {func([]string) []string {
			other := filepath.Join(t.TempDir(), "audit.jsonl")
			write(t, other, audit.Genesis("claude-other"), 10, false)
			return lines(t, other)
		}, "line 1 was changed"},
		"a whole log that was made anew": {func([]string) []string {
			other := filepath.Join(t.TempDir(), "audit.jsonl")
			write(t, other, audit.Genesis(run), 12, true)
			return lines(t, other)
		}, "it is not the log that was sealed"},
		"all hashes taken off": {func(l []string) []string {
			for i := range l {
				l[i] = l[i][:strings.Index(l[i], `,"n":`)] + "}\n"
			}
			return l
		}, "the end is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			path, head := sealed(t)
			if err := os.WriteFile(path, []byte(strings.Join(row.change(lines(t, path)), "")), 0o600); err != nil {
				t.Fatal(err)
			}
			r := verify(t, path, audit.Proof{Sealed: &head})
			if !slices.ContainsFunc(r.Breaks, func(b audit.Break) bool { return strings.Contains(b.String(), row.want) }) {
				t.Errorf("no finding %q in %v", row.want, r.Breaks)
			}
			if len(r.Breaks) > 4 {
				t.Errorf("one change gives %d findings: %v", len(r.Breaks), r.Breaks)
			}
		})
	}
}

// forge makes a line follow another, as whoever can write the file can.
func forge(t *testing.T, before, line string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	var head audit.Head
	if err := head.Hash.UnmarshalText([]byte(before[len(before)-67 : len(before)-3])); err != nil {
		t.Fatal(err)
	}
	head.Count = 3
	object := line[:strings.Index(line, `,"n":`)] + "}"
	l := audit.NewLog(open(t, path), head, nil)
	var e audit.Event
	decode(t, object, &e)
	l.Record(e)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return lines(t, path)[0] + "\n"
}

func TestEveryBitOfALogIsHeld(t *testing.T) {
	path, head := sealed(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "audit.jsonl")
	for at := range raw {
		bent := bytes.Clone(raw)
		bent[at] ^= 0x01
		if err := os.WriteFile(changed, bent, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, changed, audit.Proof{Sealed: &head}); len(r.Breaks) == 0 {
			t.Fatalf("nobody sees that byte %d (%q) was changed", at, raw[at])
		}
	}
}

func TestEveryCutOfASealedLogIsFound(t *testing.T) {
	path, head := sealed(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := info.Size() - 2; size >= 0; size-- { // without its last newline it is whole
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, path, audit.Proof{Sealed: &head}); len(r.Breaks) == 0 {
			t.Fatalf("nobody sees that it was cut to %d bytes", size)
		}
	}
}

// What a chain without a key cannot do, and what a hash that was noted elsewhere can.
func TestAKnownHashFindsALogThatWasMadeAnewWithItsSeal(t *testing.T) {
	path, head := sealed(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, audit.Genesis(run), 3, true)
	forged := seal(t, path)
	if r := verify(t, path, audit.Proof{Sealed: &forged}); len(r.Breaks) != 0 {
		t.Fatalf("a log that was made anew is no chain: %v", r.Breaks)
	}
	if r := verify(t, path, audit.Proof{Sealed: &forged, Known: head.Hash.String()}); len(r.Breaks) != 1 {
		t.Errorf("the known hash is not missed: %v", r.Breaks)
	}
}

func TestTheChainGoesOnOverAResume(t *testing.T) {
	path, first := sealed(t)
	head := reopen(t, path, &first, audit.Event{Kind: "lifecycle", Message: "resumed"})
	if head.Count != 11 {
		t.Fatalf("the head is %+v", head)
	}
	write(t, path, head, 3, true)
	if r := verify(t, path, audit.Proof{Sealed: &first}); len(r.Breaks) != 0 || r.Sealed {
		t.Errorf("while it runs: %+v", r)
	}
	second := seal(t, path)
	r := verify(t, path, audit.Proof{Sealed: &second, Known: first.Hash.String()})
	if len(r.Breaks) != 0 || !r.Sealed || r.Head.Count != 16 {
		t.Errorf("got %+v", r)
	}
}

func TestAKilledSidecarIsSaidInTheSeal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	write(t, path, audit.Genesis(run), 5, false)
	whole := lines(t, path)
	torn := strings.Join(whole[:4], "") + whole[4][:40]
	if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, path, audit.Proof{}); !r.Cut || len(r.Breaks) != 0 {
		t.Errorf("a torn line is %+v", r)
	}
	head := seal(t, path)
	r := verify(t, path, audit.Proof{Sealed: &head})
	if len(r.Breaks) != 0 || !r.Sealed || r.Torn != 1 || !strings.Contains(r.Last.Message, "not complete") || !strings.Contains(r.Last.Reason, "good order") {
		t.Errorf("got %+v", r)
	}
	// The torn line is held like any other.
	l := lines(t, path)
	l[4] = strings.Replace(l[4], "time", "timE", 1)
	if err := os.WriteFile(path, []byte(strings.Join(l, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, path, audit.Proof{Sealed: &head}); len(r.Breaks) == 0 {
		t.Error("nobody sees that the torn line was changed")
	}
}

func TestAResumeRecordsThatTheLogWasCut(t *testing.T) {
	path, head := sealed(t)
	if err := os.WriteFile(path, []byte(strings.Join(lines(t, path)[:4], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	at, breaks, err := audit.Reopen(t.Context(), path, audit.Proof{ID: run, Sealed: &head})
	if err != nil || len(breaks) != 1 || at.Count != 5 {
		t.Fatalf("got %+v, %v, %v", at, breaks, err)
	}
	events, _ := all(t, path, audit.Filter{Kinds: []string{"alarm"}})
	if len(events) != 1 || !strings.Contains(events[0].Message, "the end is missing") {
		t.Errorf("the log says %+v", events)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, breaks, err := audit.Reopen(t.Context(), path, audit.Proof{ID: run, Sealed: &head}); err != nil || len(breaks) != 1 {
		t.Errorf("a log that is gone as a whole: %v, %v", breaks, err)
	}
}

func TestALogWithoutHashesStillReadsAndIsHeldFromThenOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	old := `{"time":"2026-01-02T03:04:05Z","kind":"note","message":"a"}` + "\n\n" + `{"time":"2026-01-02T03:04:06Z","kind":"note","message":"b"}` + "\n"
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if events, damaged := all(t, path, audit.Filter{}); len(events) != 2 || damaged != 0 {
		t.Errorf("got %d events, %d damaged", len(events), damaged)
	}
	if r := verify(t, path, audit.Proof{}); r.Old != 2 || r.Lines != 0 || len(r.Breaks) != 0 {
		t.Errorf("got %+v", r)
	}
	write(t, path, reopen(t, path, nil), 2, true)
	head := seal(t, path)
	if r := verify(t, path, audit.Proof{Sealed: &head}); r.Old != 2 || r.Lines != 4 || len(r.Breaks) != 0 {
		t.Errorf("got %+v", r)
	}
	raw, _ := os.ReadFile(path)
	if err := os.WriteFile(path, bytes.Replace(raw, []byte(`"a"`), []byte(`"c"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, path, audit.Proof{Sealed: &head}); len(r.Breaks) == 0 {
		t.Error("nobody sees that an old line was changed afterwards")
	}
}

func TestACallerCannotSetItsPlaceInTheChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := audit.NewLog(open(t, path), audit.Genesis(run), nil)
	l.Record(audit.Event{Kind: "note", Message: `x","n":7,"hash":"` + strings.Repeat("0", 64) + `"}`, N: 99, Hash: strings.Repeat("f", 64)})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, path, audit.Proof{}); len(r.Breaks) != 0 || r.Last.N != 1 {
		t.Errorf("got %+v", r)
	}
	if line := lines(t, path)[0]; strings.Contains(line, `"n":99`) || strings.Contains(line, "ffff") {
		t.Errorf("the line is %s", line)
	}
}

func BenchmarkRecord(b *testing.B) {
	file, err := os.OpenFile(filepath.Join(b.TempDir(), "audit.jsonl"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	l := audit.NewLog(file, audit.Genesis(run), nil)
	e := audit.Event{Time: time.Now(), Kind: "request", Verdict: "allow", Via: "transparent", Proto: "http/1.1", Method: "GET",
		Host: "api.example.org", Port: 443, Rule: "api.example.org", Status: 200, Received: 1024, Millis: 1.234}
	b.ReportAllocs()
	for b.Loop() {
		l.Record(e)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte("{\"kind\":\"note\"}\n\n{\"a\":1,\"n\":1,\"hash\":\"" + strings.Repeat("0", 64) + "\"}\nx"))
	f.Fuzz(func(t *testing.T, log []byte) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(path, log, 0o600); err != nil {
			t.Fatal(err)
		}
		before := verify(t, path, audit.Proof{})
		head := reopen(t, path, nil, audit.Event{Kind: "note"})
		after := verify(t, path, audit.Proof{})
		if len(after.Breaks) < len(before.Breaks) {
			t.Errorf("going on took %v away: %v", before.Breaks, after.Breaks)
		}
		if after.Head != head {
			t.Errorf("the chain stands at %v and goes on from %v", after.Head, head)
		}
	})
}
