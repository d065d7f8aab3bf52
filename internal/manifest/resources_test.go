package manifest_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func TestResourcesLoad(t *testing.T) {
	l := home(t, map[string]string{
		"a": "resources: {cpus: 1.5, memory: 2GiB, processes: 512}\n",
		"b": "extends: a\nresources: {cpus: 2}\n",
		"c": "extends: a\n",
		"d": "extends: a\nresources: {}\n",
	})
	for name, want := range map[string]plan.Limits{
		"a": {MilliCPUs: 1500, MemoryBytes: 2 << 30, Processes: 512}, "b": {MilliCPUs: 2000}, "c": {MilliCPUs: 1500, MemoryBytes: 2 << 30, Processes: 512}, "d": {},
	} {
		from := name
		if name == "c" {
			from = "a"
		}
		if b, err := l.Bottle(name); err != nil || b.Resources != want || b.From["resources"] != from {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}

func TestResourcesAreReadStrictly(t *testing.T) {
	for text, says := range map[string]string{
		"{cpus: 0}": "from 0.01 on", "{cpus: -1}": "cpus", "{cpus: all}": "processors", "{cpus: 1e9}": "processors", "{cpus: 0.001}": "processors",
		"{memory: 1MB}": "less than 64MiB", "{memory: much}": "number of bytes", "{processes: 3}": "processes", "{processes: 1.5}": "processes",
		"{cpu: 1}": "did you mean", "[]": "mapping",
	} {
		_, err := home(t, map[string]string{"a": "resources: " + text + "\n"}).Bottle("a")
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
