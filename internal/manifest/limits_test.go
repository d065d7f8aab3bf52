package manifest_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func TestLimitsLoad(t *testing.T) {
	l := home(t, map[string]string{
		"a": "egress:\n  limits: {connections: 10, requests: 20, streams: 5, header_bytes: 8KiB, idle: 90s, total: 1h30m, total_sent: 100MB, total_received: 4096}\n",
		"b": "egress:\n  limits: {connections: 7, total_sent: 1GiB}\n",
		"c": "extends: [a, b]\n",
	})
	want := policy.Limits{Connections: 10, Requests: 20, Streams: 5, HeaderBytes: 8192, IdleSeconds: 90, TotalSeconds: 5400, TotalSent: 100_000_000, TotalReceived: 4096}
	a, err := l.Bottle("a")
	if err != nil || a.Egress.Limits != want || a.From["egress.limits"] != "a" {
		t.Errorf("%+v, %v", a, err)
	}
	want.Connections, want.TotalSent = 7, 1<<30
	if c, err := l.Bottle("c"); err != nil || c.Egress.Limits != want || c.From["egress.limits"] != "b" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestLimitsAreReadStrictly(t *testing.T) {
	for text, says := range map[string]string{
		"{connections: 0}": "connections", "{connections: many}": "connections", "{streams: 100000}": "streams", "{conections: 1}": "did you mean",
		"{header_bytes: 100}": "from 4KiB to 1MiB", "{header_bytes: 1GB}": "from 4KiB to 1MiB", "{idle: 5}": "idle", "{idle: 10ms}": "duration", "{idle: 0s}": "a second or more",
		"{total: -1h}": "duration", "{total_sent: 0}": "can be", "{total_sent: 1.5GB}": "number of bytes", "{total_sent: 999999999TB}": "can be", "[]": "mapping",
	} {
		_, err := home(t, map[string]string{"a": "egress:\n  limits: " + text + "\n"}).Bottle("a")
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
