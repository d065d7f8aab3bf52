package bottle

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// TestWhatLeadsToTheSidecarIsOwned has a list that is kept elsewhere agree with what is set.
func TestWhatLeadsToTheSidecarIsOwned(t *testing.T) {
	owned := 0
	for name, value := range base("") {
		leads := strings.Contains(value, plan.CABundle) || strings.Contains(value, plan.CADir) || strings.Contains(value, plan.JavaTrust) ||
			strings.Contains(value, plan.SidecarIPv4) || strings.Contains(value, plan.GateHost) || strings.HasPrefix(name, "BOT_BOTTLE")
		if plan.OwnsVariable(name) != leads {
			t.Errorf("%s=%s: owned is %v", name, value, !leads)
		}
		if leads {
			owned++
		}
	}
	if owned < 15 {
		t.Errorf("only %d variables lead to the sidecar", owned)
	}
	for _, name := range []string{"JAVA_TOOL_OPTIONS", "BOT_BOTTLE_CANARY", "all_proxy"} {
		if !plan.OwnsVariable(name) {
			t.Errorf("%s is anybody's", name)
		}
	}
	for _, path := range []string{plan.PromptPath, plan.JavaTrust, canaryPath} {
		if !plan.OwnsFile(path) {
			t.Errorf("%s is anybody's", path)
		}
	}
	if plan.OwnsVariable("PROXY") || plan.OwnsFile(plan.Home+"/.bashrc") {
		t.Error("everything is owned")
	}
}
