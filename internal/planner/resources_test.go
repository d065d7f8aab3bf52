package planner_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/planner"
)

func TestThePreflightShowsTheResources(t *testing.T) {
	var out strings.Builder
	if err := planner.Preflight(&out, &plan.Plan{Limits: plan.Limits{MilliCPUs: 1500, MemoryBytes: 2 << 30, Processes: 512}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"resources       cpus 1.5\n", " memory 2147483648 bytes\n", " processes 512\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := planner.Preflight(&out, &plan.Plan{}); err != nil || strings.Contains(out.String(), "resources") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
