package dlp_test

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// diary is a memory with a clock, and an engine that knows one secret.
type diary struct {
	m   *dlp.Memory
	e   *dlp.Engine
	now time.Time
}

func newDiary(value string) *diary {
	d := &diary{e: dlp.New([]dlp.Known{{Name: "K", Value: secret.New(value)}}), now: time.Unix(1e9, 0)}
	d.m = dlp.NewMemory(func() time.Time { return d.now })
	return d
}

// send is one request with these values, each in a slot of its own.
func (d *diary) send(values ...string) []dlp.Finding {
	d.m.Begin()
	var sent []dlp.Value
	for i, v := range values {
		sent = append(sent, dlp.Value{Slot: fmt.Sprint(i), Text: v})
	}
	return d.m.Values(d.e, sent, "head", all())
}

const remembered = "Xq7mZ2wLr9Kd4Tb8Vn1Hs6Jc3Pf5Gy"

func TestPiecesAreRememberedInAnyOrderAndNoLongerThanSaid(t *testing.T) {
	d := newDiary(remembered)
	if found := d.send(remembered[8:12]); len(found) > 0 {
		t.Errorf("one piece: %v", found)
	}
	if found := d.send(remembered[0:4]); len(found) > 0 {
		t.Errorf("two pieces apart: %v", found)
	}
	if found := d.send(remembered[4:8]); len(found) != 1 || found[0].Rule != "known-secret:K" || found[0].Span != 0 {
		t.Errorf("twelve bytes in a row: %v", found)
	}
	late := newDiary(remembered)
	late.send(remembered[8:12])
	late.send(remembered[0:4])
	late.now = late.now.Add(dlp.MemoryTime)
	if found := late.send(remembered[4:8]); len(found) > 0 {
		t.Errorf("after the time: %v", found)
	}
	many := newDiary(remembered)
	many.send(remembered[8:12])
	many.send(remembered[0:4])
	for range dlp.MemoryRequests {
		many.send()
	}
	if found := many.send(remembered[4:8]); len(found) > 0 {
		t.Errorf("after the requests: %v", found)
	}
	many.now = many.now.Add(-time.Hour) // a clock that jumps back forgets nothing
	if found := many.send(remembered[0:4], remembered[8:12], remembered[4:8]); len(found) == 0 {
		t.Error("three pieces in one request are not found")
	}
}

func TestOrdinaryTrafficIsNoSecretInPieces(t *testing.T) {
	r := rand.New(rand.NewSource(9))
	d := newDiary(remembered)
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	drawn := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alnum[r.Intn(len(alnum))]
		}
		return string(b)
	}
	for i := range 3000 {
		if found := d.send(fmt.Sprint(i), drawn(4+r.Intn(30)), fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.Intn(1<<16), r.Intn(1<<12), r.Intn(1<<12), r.Int63n(1<<48)), "page", drawn(4)); len(found) > 0 {
			t.Fatalf("request %d: %v", i, found)
		}
		d.now = d.now.Add(time.Second)
	}
}

func TestThePublicPrefixOfATokenIsNoPartOfIt(t *testing.T) {
	value := "sk-" + "ant-oat01-" + "q8Zr4mXw9dKt7bLc2vNs5hJg"
	e := dlp.New([]dlp.Known{{Name: "K", Value: secret.New(value)}})
	use := dlp.Detectors{Known: true}
	for text, want := range map[string]int{
		"a token begins with " + value[:13] + " and goes on": 0,
		"so: " + value[:16]:   0,
		"so: " + value[:25]:   1,
		"so: " + value[13:25]: 1,
	} {
		if found := e.Scan([]byte(text), "body", use); len(found) != want {
			t.Errorf("%d bytes of the token: %v", len(strings.TrimPrefix(text, "so: ")), found)
		}
	}
}
